//! The real kernel takes the program and does what it says. Each test filters a thread of its
//! own, which ends with it.

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, socket};

use super::*;
use crate::sys::seccomp::{Options, install};

/// Everything runs but what has a rule.
fn permissive(rules: Vec<Rule>) -> Policy {
    let architecture = Architecture::native().unwrap();
    let denied = Action::Allow;
    Policy {
        architecture,
        rules,
        denied,
        known_up_to: 4000,
        ..allow_list([])
    }
}

fn number(name: &str) -> u32 {
    crate::sys::calls::number(name).unwrap()
}

/// Runs `test` in a thread that has the policy's filter.
fn filtered<T: Send + 'static>(
    policy: &Policy,
    options: Options,
    test: impl FnOnce() -> T + Send + 'static,
) -> T {
    let program = compile(policy).unwrap();
    std::thread::spawn(move || {
        rustix::thread::set_no_new_privs(true).unwrap();
        install(&program, options).unwrap();
        test()
    })
    .join()
    .unwrap()
}

/// getppid: it cannot fail, so the C library passes on the kernel's negative error number.
fn parent() -> Result<u32, i32> {
    let id = std::os::unix::process::parent_id();
    let negative = id.cast_signed();
    if negative < 0 { Err(-negative) } else { Ok(id) }
}

#[test]
fn getppid_runs_or_fails_as_the_policy_says() {
    let before = parent();
    assert!(before.is_ok());
    let deny = |otherwise| {
        let call = number("getppid");
        permissive(vec![Rule {
            call,
            alternatives: Vec::new(),
            otherwise,
        }])
    };
    assert_eq!(
        filtered(&deny(Action::Errno(1)), Options::default(), parent),
        Err(1)
    );
    assert_eq!(
        filtered(&deny(Action::Errno(42)), Options::default(), parent),
        Err(42)
    );
    assert_eq!(
        filtered(&deny(Action::Allow), Options::default(), parent),
        before
    );
    let logging = Options {
        log: true,
        listener: false,
    };
    assert_eq!(filtered(&deny(Action::Allow), logging, parent), before);
    // No tracer is there to answer.
    assert_eq!(
        filtered(&deny(Action::Trace(7)), Options::default(), parent),
        Err(38)
    );
    assert_eq!(parent(), before, "the filter stayed with its thread");
}

#[test]
fn socket_families_are_told_apart() {
    let family = |number: u64| {
        let comparison = Comparison::Equal(number);
        (
            vec![Condition {
                argument: 0,
                low_half_only: true,
                comparison,
            }],
            Action::Allow,
        )
    };
    let policy = permissive(vec![Rule {
        call: number("socket"),
        alternatives: vec![family(1), family(2)],
        otherwise: Action::Errno(97),
    }]);
    let open = |family| socket(family, SocketType::DGRAM, None).map(|_| ());
    let results = filtered(&policy, Options::default(), move || {
        [
            AddressFamily::UNIX,
            AddressFamily::INET,
            AddressFamily::INET6,
        ]
        .map(open)
    });
    assert_eq!(results, [Ok(()), Ok(()), Err(Errno::AFNOSUPPORT)]);
}

#[test]
fn the_kernel_takes_the_widest_program() {
    let mut policy = wide_policy(230);
    policy.architecture = Architecture::native().unwrap();
    for rule in &mut policy.rules {
        rule.call += 1000;
    }
    policy.denied = Action::Allow;
    assert!(filtered(&policy, Options::default(), parent).is_ok());
}

#[test]
fn a_listener_comes_back_if_asked_for() {
    let policy = permissive(Vec::new());
    let program = compile(&policy).unwrap();
    let flags = std::thread::spawn(move || {
        rustix::thread::set_no_new_privs(true).unwrap();
        let listener = install(
            &program,
            Options {
                log: false,
                listener: true,
            },
        )
        .unwrap();
        rustix::io::fcntl_getfd(listener.unwrap()).unwrap()
    })
    .join()
    .unwrap();
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
}

#[test]
fn a_bad_program_is_refused() {
    let endless = [Instruction {
        code: assemble::LOAD,
        jt: 0,
        jf: 0,
        k: 0,
    }];
    let tried = std::thread::spawn(move || {
        rustix::thread::set_no_new_privs(true).unwrap();
        [
            install(&endless, Options::default()).err(),
            install(&[], Options::default()).err(),
        ]
    });
    assert_eq!(
        tried.join().unwrap(),
        [Some(Errno::INVAL), Some(Errno::INVAL)]
    );
}
