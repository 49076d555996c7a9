//! Names of licences: as Debian's copyright files have them, and as SPDX does.

/// The identifier of the SPDX licence list for a name, where it says the same for certain.
pub(super) fn identifier(name: &str) -> Option<&'static str> {
    Some(match name {
        "Apache-2" | "Apache-2.0" => "Apache-2.0",
        "BSD-2-clause" | "BSD-2-Clause" => "BSD-2-Clause",
        "BSD-3-clause" | "BSD-3-Clause" => "BSD-3-Clause",
        "BSD-4-clause" | "BSD-4-Clause" => "BSD-4-Clause",
        "CC0-1.0" => "CC0-1.0",
        "Expat" | "MIT" => "MIT",
        "GPL-2" | "GPL-2.0" | "GPL-2.0-only" => "GPL-2.0-only",
        "GPL-2+" | "GPL-2.0+" | "GPL-2.0-or-later" => "GPL-2.0-or-later",
        "GPL-3" | "GPL-3.0" | "GPL-3.0-only" => "GPL-3.0-only",
        "GPL-3+" | "GPL-3.0+" | "GPL-3.0-or-later" => "GPL-3.0-or-later",
        "ISC" => "ISC",
        "LGPL-2" | "LGPL-2.0" | "LGPL-2.0-only" => "LGPL-2.0-only",
        "LGPL-2+" | "LGPL-2.0+" | "LGPL-2.0-or-later" => "LGPL-2.0-or-later",
        "LGPL-2.1" | "LGPL-2.1-only" => "LGPL-2.1-only",
        "LGPL-2.1+" | "LGPL-2.1-or-later" => "LGPL-2.1-or-later",
        "LGPL-3" | "LGPL-3.0" | "LGPL-3.0-only" => "LGPL-3.0-only",
        "LGPL-3+" | "LGPL-3.0+" | "LGPL-3.0-or-later" => "LGPL-3.0-or-later",
        "MPL-1.1" => "MPL-1.1",
        "MPL-2.0" => "MPL-2.0",
        "PostgreSQL" => "PostgreSQL",
        "zlib" | "Zlib" => "Zlib",
        _ => return None,
    })
}
