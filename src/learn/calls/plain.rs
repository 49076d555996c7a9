//! Calls of which the number is all there is to say, and for which the kernel asks no capability:
//! nobody need wait for their end.

/// In the order of the alphabet. None of them makes, opens, changes or sends anything, so that none
/// comes to a question of `capable()` but that for memory (`cap_vm_enough_memory()`).
pub const PLAIN: [&str; 38] = [
    "alarm",
    "clock_getres",
    "clock_gettime",
    "close",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "exit",
    "exit_group",
    "futex",
    "getcpu",
    "getegid",
    "geteuid",
    "getgid",
    "getpid",
    "getppid",
    "getrandom",
    "gettid",
    "gettimeofday",
    "getuid",
    "lseek",
    "membarrier",
    "munmap",
    "nanosleep",
    "pause",
    "poll",
    "ppoll",
    "pselect6",
    "restart_syscall",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigsuspend",
    "sched_yield",
    "select",
    "set_robust_list",
    "setitimer",
    "time",
    "wait4",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_of_known_calls() {
        assert!(PLAIN.is_sorted());
        let known = |call: &&str| syscalls::Sysno::iter().any(|known| known.name() == *call);
        let wrong: Vec<&str> = PLAIN.into_iter().filter(|call| !known(call)).collect();
        assert_eq!(wrong, [""; 0]);
    }
}
