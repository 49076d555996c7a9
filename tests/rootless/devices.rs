//! Devices are the host's, mounted: what stands in their place is looked at.

use std::fs;

use crate::machine::machine;
use crate::user::User;

#[test]
fn a_file_in_the_place_of_a_device_is_refused() {
    machine(|m| {
        let user = User::new(m);
        let data = user.file("data", None);
        let words = [
            "up",
            "store",
            "--ready",
            "tcp:6479",
            "--exercise",
            "redis-cli -p 6479 ping",
            "--",
            "/usr/bin/redis-server",
            "--port",
            "6479",
            "--bind",
            "127.0.0.1",
            "--dir",
            &data,
        ];
        user.gaoler(&words).ok();
        user.stop("store");
        // CVE-2025-31133, for a device that is mounted.
        fs::remove_file("/dev/urandom").unwrap();
        fs::write("/dev/urandom", "not at random").unwrap();
        let refused = user.gaoler(&["start", "store"]);
        assert_eq!(refused.code, 125, "{refused:#?}");
        let wanted = "it is not the character device 1:9";
        assert!(refused.err.contains(wanted), "{refused:#?}");
        assert_eq!(m.processes(&[]), []);
    });
}
