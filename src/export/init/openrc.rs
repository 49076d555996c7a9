//! A script for OpenRC (`openrc-run(8)`).

use super::text::fill;
use super::{Options, heading, values};
use crate::Result;

/// Writes it.
///
/// # Errors
/// A path that a script cannot hold.
pub fn script(name: &str, options: &Options) -> Result<String> {
    let what = [
        format!("{name} in its jail: for OpenRC."),
        "gaoler keeps the jail, from the spec and the tree as they are when it is started."
            .to_owned(),
        format!(
            "In /etc/init.d, where it takes the place of another {name}: rc-update add {name}."
        ),
    ];
    let mut values = values(name, options)?;
    values.push(("heading", heading(name, "openrc", &what)));
    Ok(fill(include_str!("openrc.sh"), &values))
}
