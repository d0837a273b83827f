//! System calls as a hostile program makes them, past every wrapper that would know better.
#![allow(
    unsafe_code,
    reason = "what is tried here is what no safe wrapper offers"
)]

use nix::errno::Errno;
use nix::libc;

/// Makes a system call with numbers for arguments. None is ever the address of something, so the
/// kernel can write to no memory of this process.
pub(crate) fn call(number: libc::c_long, arguments: [u32; 3]) -> Result<libc::c_long, Errno> {
    let [a, b, c] = arguments.map(libc::c_ulong::from);
    // SAFETY: the arguments are small numbers; as addresses they are on the unmapped first pages.
    Errno::result(unsafe { libc::syscall(number, a, b, c, 0_usize, 0_usize, 0_usize) })
}

/// Makes a child in new namespaces, which ends at once.
pub(crate) fn clone(flags: u32) -> Result<(), Errno> {
    let flags = libc::c_ulong::from(flags) | libc::SIGCHLD.unsigned_abs() as libc::c_ulong;
    // SAFETY: without a stack and without shared memory this is `fork`; this process has one
    // thread, and its child does nothing but end.
    unsafe {
        match libc::syscall(libc::SYS_clone, flags, 0_usize, 0_usize, 0_usize, 0_usize) {
            0 => libc::_exit(0),
            result => Errno::result(result).map(drop),
        }
    }
}

/// Asks for the own process id as a 32-bit program does. If that is let through, nothing happens.
pub(crate) fn call_by_old_interface() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: `getpid` takes no argument and touches no memory; what the kernel may overwrite is
    // declared.
    unsafe {
        const GETPID: u64 = 20;
        std::arch::asm!(
            "int 0x80",
            inlateout("rax") GETPID => _,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
}
