//! `gaoler up named` on set-ups as people have them, with Debian's BIND and real clients. Needs
//! root, bind9, bind9-utils and bind9-dnsutils; each test runs in namespaces of its own.

mod machine;

mod chroot;
mod debian;
mod endings;
mod logging;
mod options;
mod refusals;
mod transfers;
mod two;
mod updates;
mod zones;
