//! What waiting costs: the agent's memory, and each group's beside its own processes.

use anyhow::{Context, Result};

use crate::report::{Report, Table};
use crate::setting::Setting;

/// Containers that sleep while they are weighed, for each engine.
const HELD: u32 = 10;

/// Weighs the agent before it did anything, and what each engine keeps per container.
pub(crate) fn measure(setting: &Setting<'_>, report: &mut Report) -> Result<()> {
    let agent = resident_kib(setting.burstlet.agent_pid())?;
    let mut table = Table::new("Idle memory", &["", "KiB"]);
    table.row(&["Burstlet's agent, resident", &agent.to_string()]);
    for engine in setting.engines() {
        let names: Vec<_> = (0..HELD).map(|index| format!("idle-{index}")).collect();
        for name in &names {
            engine.hold(name)?;
        }
        let mut sum = 0;
        for name in &names {
            sum += keeper_kib(engine.pid(name)?)?;
        }
        for name in &names {
            engine.release(name)?;
        }
        let label = format!("{}: private, per container", engine.label());
        let mean = match sum / u64::from(HELD) {
            0 => "none stays".to_owned(),
            kib => kib.to_string(),
        };
        table.row(&[&label, &mean]);
    }
    let label = "Burstlet's agent after that, resident";
    let agent = resident_kib(setting.burstlet.agent_pid())?;
    table.row(&[label, &agent.to_string()]);
    report.add(table);
    Ok(())
}

/// Private memory of the process that stays for a container: the parent of its first process. A
/// runtime that leaves nobody leaves it to init, whose memory is nobody's cost.
fn keeper_kib(pid: u32) -> Result<u64> {
    let parent = field(&format!("/proc/{pid}/status"), "PPid:")?;
    let own = u64::from(std::process::id());
    if parent <= 1 || parent == own {
        return Ok(0);
    }
    let rollup = format!("/proc/{parent}/smaps_rollup");
    Ok(field(&rollup, "Private_Clean:")? + field(&rollup, "Private_Dirty:")?)
}

fn resident_kib(pid: u32) -> Result<u64> {
    field(&format!("/proc/{pid}/status"), "VmRSS:")
}

pub(crate) fn field(path: &str, name: &str) -> Result<u64> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|rest| rest.split_whitespace().next());
    let value = value.with_context(|| format!("find {name} in {path}"))?;
    value
        .parse()
        .with_context(|| format!("read {name} in {path}"))
}
