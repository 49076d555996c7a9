//! The types of well-known ports in the reference policy (`corenetwork.te.in` of its sources). A module should
//! not give a port that has a type another one, so these are used; any other port gets a type of the
//! jail's own. A host whose policy does not have one of these types refuses the module when it is loaded.

use crate::spec::Protocol;

/// A type, and its ports of TCP and of UDP, as far as services that gaoler knows use them or speak to
/// them.
type Row = (&'static str, &'static [u16], &'static [u16]);

const TYPES: [Row; 25] = [
    ("chronyd_port_t", &[], &[323]),
    ("dhcpd_port_t", &[], &[67]),
    ("dns_port_t", &[53, 853], &[53]),
    ("ftp_data_port_t", &[20], &[]),
    ("ftp_port_t", &[21], &[]),
    ("http_cache_port_t", &[3128, 8080], &[]),
    ("http_port_t", &[80, 443, 8443], &[]),
    ("ipp_port_t", &[631], &[631]),
    ("kerberos_port_t", &[88], &[88]),
    ("ldap_port_t", &[389, 636], &[389, 636]),
    ("memcache_port_t", &[11211], &[11211]),
    ("mysqld_port_t", &[3306], &[]),
    ("nfs_port_t", &[2049], &[2049]),
    ("ntp_port_t", &[], &[123]),
    ("pop_port_t", &[110, 143, 993, 995], &[]),
    ("portmap_port_t", &[111], &[111]),
    ("postgresql_port_t", &[5432], &[]),
    ("redis_port_t", &[6379], &[]),
    ("rndc_port_t", &[953, 8953], &[953, 8953]),
    ("rsync_port_t", &[873], &[873]),
    ("smtp_port_t", &[25, 465, 587], &[]),
    ("snmp_port_t", &[], &[161]),
    ("ssh_port_t", &[22], &[]),
    ("syslogd_port_t", &[], &[514]),
    ("tftp_port_t", &[], &[69]),
];

/// The type of a port, if it is one of these.
pub fn known(protocol: Protocol, port: u16) -> Option<&'static str> {
    let row = TYPES.iter().find(|(_, tcp, udp)| match protocol {
        Protocol::Tcp => tcp.contains(&port),
        Protocol::Udp => udp.contains(&port),
    });
    row.map(|(name, _, _)| *name)
}
