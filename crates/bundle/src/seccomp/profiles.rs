//! The profiles of a node, each compiled once for each set of capabilities that it tells apart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use burstlet_model::spec::SeccompProfile;
use oci_spec::runtime::Spec;

use super::arch::Arch;
use super::profile::{Profile, ProfileError};
use super::program::Program;
use super::select::{KernelVersion, Target};

/// The profile that is shipped.
const DEFAULT: &str = include_str!("../../../../runtime-config/seccomp/default.json");

/// How many compiled programs are kept; beyond that all are forgotten. Each takes some KiB.
const PROGRAMS_MAX: usize = 256;

/// The profiles of a node.
#[derive(Debug)]
pub struct Profiles {
    arch: Arch,
    kernel: KernelVersion,
    default: Profile,
    registered: BTreeMap<String, Profile>,
    programs: Mutex<BTreeMap<Key, Arc<Program>>>,
}

/// `None` for the default profile; and the capabilities that make a difference.
type Key = (Option<String>, BTreeSet<String>);

impl Profiles {
    /// The shipped profile for containers that ask for the runtime's default, and no other.
    ///
    /// # Errors
    /// The shipped profile is not for this architecture.
    pub fn new(arch: Arch, kernel: KernelVersion) -> Result<Self, ProfileError> {
        Ok(Self {
            arch,
            kernel,
            default: Profile::parse(DEFAULT)?,
            registered: BTreeMap::new(),
            programs: Mutex::default(),
        })
    }

    /// Replaces the default profile.
    #[must_use]
    pub fn with_default(self, default: Profile) -> Self {
        Self { default, ..self }
    }

    /// Adds a profile that containers may ask for by `name`.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, profile: Profile) -> Self {
        self.registered.insert(name.into(), profile);
        self
    }

    /// The names that containers may ask for.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.registered.keys().map(String::as_str)
    }

    /// The filter for the container of `spec` that asks for `wanted`; `None` if it asks for none.
    ///
    /// # Errors
    /// No profile has that name, or it is too large for the kernel.
    pub fn program(
        &self,
        wanted: &SeccompProfile,
        spec: &Spec,
    ) -> Result<Option<Arc<Program>>, ProfileError> {
        let (name, profile) = match wanted {
            SeccompProfile::Unconfined => return Ok(None),
            SeccompProfile::RuntimeDefault => (None, &self.default),
            SeccompProfile::Localhost(name) => {
                let profile = self.registered.get(name);
                let unknown = || ProfileError::Unknown(name.clone());
                (Some(name.clone()), profile.ok_or_else(unknown)?)
            }
        };
        let capabilities = relevant(profile, spec);
        let key = (name, capabilities.clone());
        if let Some(known) = self.lock().get(&key) {
            return Ok(Some(Arc::clone(known)));
        }
        let target = Target {
            arch: self.arch,
            kernel: self.kernel,
            capabilities,
        };
        let program = Arc::new(Program::compile(profile, &target)?);
        let mut programs = self.lock();
        if programs.len() >= PROGRAMS_MAX {
            programs.clear();
        }
        programs.insert(key, Arc::clone(&program));
        Ok(Some(program))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Key, Arc<Program>>> {
        // Nothing is ever left half done under this lock.
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of what the container can ever have, what the profile asks about.
fn relevant(profile: &Profile, spec: &Spec) -> BTreeSet<String> {
    let sets = spec
        .process()
        .as_ref()
        .and_then(|process| process.capabilities().as_ref());
    let bounding = sets.and_then(|sets| sets.bounding().as_ref());
    let bounding: BTreeSet<String> = bounding
        .into_iter()
        .flatten()
        .map(ToString::to_string)
        .collect();
    let asked = profile.capabilities().map(str::to_owned);
    asked.filter(|name| bounding.contains(name)).collect()
}
