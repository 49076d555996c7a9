//! Zones and include files where nobody expects them.

use std::fs;

use crate::machine::{machine, zone_file};

#[test]
fn zones_in_odd_places_follow_the_host() {
    machine(|m| {
        m.write("/srv/dns/zones/one.test.db", &zone_file(1, "192.0.2.1"));
        m.write("/opt/x/zones/two/db", &zone_file(1, "192.0.2.2"));
        m.write(
            "/opt/x/zones/two.conf",
            "zone \"two.test\" { type primary; file \"/opt/x/zones/two/db\"; };\n",
        );
        m.configure(
            "",
            "zone \"one.test\" { type primary; file \"/srv/dns/zones/one.test.db\"; };\n\
             include \"/opt/x/zones/two.conf\";\n",
        );
        let pid = m.up();
        m.answers(&["www.one.test"], "192.0.2.1");
        m.answers(&["www.two.test"], "192.0.2.2");

        m.write("/srv/dns/zones/one.test.db", &zone_file(2, "192.0.2.11"));
        // As editors do: a new file in the place of the old one.
        m.write("/opt/x/zones/two/db.new", &zone_file(2, "192.0.2.12"));
        fs::rename("/opt/x/zones/two/db.new", "/opt/x/zones/two/db").unwrap();
        m.rndc(&["reload"]);
        let new = |address: &'static str| move |answer: &String| answer == address;
        crate::machine::eventually(|| m.dig(&["www.one.test"]), new("192.0.2.11"));
        crate::machine::eventually(|| m.dig(&["www.two.test"]), new("192.0.2.12"));

        // A further zone by way of the included file, beside one that is there.
        m.write("/opt/x/zones/two/three", &zone_file(1, "192.0.2.3"));
        m.write(
            "/opt/x/zones/two.conf",
            "zone \"two.test\" { type primary; file \"/opt/x/zones/two/db\"; };\n\
             zone \"three.test\" { type primary; file \"/opt/x/zones/two/three\"; };\n",
        );
        m.gaoler(&["reload", "named"]).ok();
        crate::machine::eventually(|| m.dig(&["www.three.test"]), new("192.0.2.3"));
        assert_eq!(m.pid("named"), pid);
        assert_eq!(m.json(&["status", "named"])["generation"], 1);
        let spec = fs::read_to_string("/etc/gaoler/named.toml").unwrap();
        for line in spec
            .lines()
            .filter(|line| line.contains("/srv/dns") || line.contains("/opt/x"))
        {
            assert!(!line.contains("writable = true"), "root's own: {line}");
        }
    });
}

#[test]
fn a_directory_of_relative_zones() {
    machine(|m| {
        m.write("/srv/named/db.rel", &zone_file(1, "192.0.2.4"));
        m.write("/srv/named/more/db.deep", &zone_file(1, "192.0.2.5"));
        m.write(
            "/etc/bind/named.conf.options",
            "options { directory \"/srv/named\"; recursion no; dnssec-validation no; };\n",
        );
        m.write(
            "/etc/bind/named.conf.local",
            "zone \"rel.test\" { type primary; file \"db.rel\"; };\n\
             zone \"deep.test\" { type primary; file \"more/db.deep\"; };\n",
        );
        m.own_directory("/srv/named");
        m.up();
        m.answers(&["www.rel.test"], "192.0.2.4");
        m.answers(&["www.deep.test"], "192.0.2.5");
        m.gaoler(&["restart", "named"]).ok();
        m.answers(&["www.deep.test"], "192.0.2.5");
    });
}

/// More zones than fit in what a careless reader of the printed configuration would keep.
#[test]
fn thousands_of_zones() {
    machine(|m| {
        let zone = |number: usize| {
            format!(
                "zone \"z{number}.test\" {{ type primary; file \"/srv/dns/many/{}/z{number}.db\"; }};\n",
                number % 10
            )
        };
        let text = zone_file(1, "192.0.2.1");
        for number in 0..3000 {
            m.write(
                &format!("/srv/dns/many/{}/z{number}.db", number % 10),
                &text,
            );
        }
        // Only the end of the configuration names this directory.
        m.write("/opt/last/zone", &zone_file(1, "192.0.2.2"));
        m.own_directory("/opt/last/journals");
        let last = "zone \"last.test\" { type primary; file \"/opt/last/zone\"; update-policy local;\n\
                    journal \"/opt/last/journals/last.jnl\"; };\n";
        let zones: String = (0..3000).map(zone).chain([last.to_owned()]).collect();
        m.configure("", &zones);
        m.up();
        m.answers(&["www.z0.test"], "192.0.2.1");
        m.answers(&["www.z2999.test"], "192.0.2.1");
        let update = "zone last.test\nupdate add new.last.test 60 A 192.0.2.3\nsend\n";
        m.nsupdate(&["-l"], update);
        assert!(fs::metadata("/opt/last/journals/last.jnl").is_ok());
    });
}
