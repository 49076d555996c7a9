//! Records of SELinux's access vector cache:
//! `avc:  denied  { read write } for  pid=1 comm="a" … tclass=file` (`security/selinux/avc.c`).

use super::Fault;
use super::decode::{MAX_RIGHTS, Part, capability, network, object, process};
use super::fields::Fields;
use super::header::Header;
use super::record::{Selinux, What};

/// What a record says; `None` if it is about the policy, not about an access.
pub(super) fn part(header: &Header<'_>) -> Result<Option<Part>, Fault> {
    let body = header.body.trim_ascii_start();
    let body = body.strip_prefix(b"avc:").unwrap_or(body);
    let (granted, rest) = match body.trim_ascii_start() {
        text if text.starts_with(b"denied") => (false, text.get(6..)),
        text if text.starts_with(b"granted") => (true, text.get(7..)),
        _ => return Ok(None),
    };
    let (permissions, rest) = permissions(rest.unwrap_or_default())?;
    let rest = rest.trim_ascii_start();
    let rest = rest.strip_prefix(b"for").unwrap_or(rest);
    let fields = Fields::new(rest, header.interpreted)?;
    let context = |key| fields.word(key).ok_or(Fault::Missing(key));
    let permissive: Option<u32> = fields.number("permissive")?;
    let ioctl = fields.hexadecimal("ioctlcmd")?;
    let record = Selinux {
        granted,
        permissions,
        permissive: permissive.map(|permissive| permissive != 0),
        scontext: context("scontext")?,
        tcontext: context("tcontext")?,
        tclass: context("tclass")?,
        object: object(&fields)?,
        capability: capability(&fields)?,
        ioctl: ioctl.and_then(|command| u16::try_from(command).ok()),
        network: network(&fields)?,
    };
    let what = What::Selinux(Box::new(record));
    Ok(Some(Part::Denial(process(&fields)?, what)))
}

/// The words in braces, or `null` where there are none.
fn permissions(text: &[u8]) -> Result<(Vec<String>, &[u8]), Fault> {
    let text = text.trim_ascii_start();
    if let Some(rest) = text.strip_prefix(b"null") {
        return Ok((Vec::new(), rest));
    }
    let inside = text.strip_prefix(b"{").ok_or(Fault::Missing("{"))?;
    let end = inside.iter().position(|byte| *byte == b'}');
    let (words, rest) = inside.split_at(end.ok_or(Fault::Cut)?);
    let words = String::from_utf8_lossy(words);
    let words = words.split_ascii_whitespace();
    if words.clone().count() > MAX_RIGHTS {
        return Err(Fault::Value("permissions"));
    }
    let words = words.map(str::to_owned).collect();
    Ok((words, rest.get(1..).unwrap_or_default()))
}
