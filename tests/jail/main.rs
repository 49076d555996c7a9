//! `gaoler up named` on set-ups as people have them, with Debian's BIND and real clients. Needs
//! root, bind9, bind9-utils and bind9-dnsutils; each test runs in namespaces of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout
)]

mod machine;

mod attack;
mod attack_page;
mod background;
mod chroot;
mod debian;
mod endings;
mod growth;
mod guarding;
mod heal;
mod logging;
mod options;
mod refusals;
mod remembered;
mod removals;
mod talking;
mod transfers;
mod two;
mod under;
mod updates;
mod waiting;
mod zones;
