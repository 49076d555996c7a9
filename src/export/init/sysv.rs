//! A script for SysV's init, with the header and the exit codes of LSB 5.0.

use super::text::fill;
use super::{Options, heading, values};
use crate::Result;

/// Writes it.
///
/// # Errors
/// A path that a script cannot hold.
pub fn script(name: &str, options: &Options) -> Result<String> {
    let what = [
        format!("{name} in its jail: for SysV's init, with the header and the exit codes of LSB."),
        "gaoler keeps the jail, from the spec and the tree as they are when it is started."
            .to_owned(),
        format!(
            "In /etc/init.d, where it takes the place of another {name}: update-rc.d {name} defaults,"
        ),
        format!("or chkconfig --add {name}."),
    ];
    let mut values = values(name, options)?;
    values.push(("heading", heading(name, "sysv", &what)));
    Ok(fill(include_str!("sysv.sh"), &values))
}
