//! Lines of `journalctl --output json` (systemd.journal-fields(7)).

use serde_json::{Map, Value};

/// Whose messages may hold the kernel's records, beside the kernel's own and journald's: those of
/// auditd's dispatchers.
const DISPATCHERS: [&str; 4] = ["auditd", "audispd", "audisp-syslog", "audisp-remote"];

/// The line as another output of journald's would have it; `None` if it is no such line. journald
/// knows who sent a message: one that only calls itself the kernel's is left out.
pub(super) fn plain(line: &[u8]) -> Option<Vec<u8>> {
    if !line.starts_with(b"{") {
        return None;
    }
    let fields: Map<String, Value> = serde_json::from_slice(line).ok()?;
    let message = bytes(fields.get("MESSAGE")?)?;
    let field = |name: &str| fields.get(name).and_then(Value::as_str);
    match field("_TRANSPORT")? {
        "kernel" => Some(message),
        "audit" => Some(of_audit(&field, &message)),
        _ => {
            let tag = field("SYSLOG_IDENTIFIER")?;
            let tag = DISPATCHERS.iter().find(|known| **known == tag)?;
            Some([b"Jan  1 00:00:00 ", tag.as_bytes(), b": ", &message[..]].concat())
        }
    }
}

/// A record that journald had from the kernel itself: its type, number and time are fields, and the
/// text begins with the name of the type.
fn of_audit<'a>(field: &impl Fn(&str) -> Option<&'a str>, message: &[u8]) -> Vec<u8> {
    let head = || {
        let kind: u32 = field("_AUDIT_TYPE")?.parse().ok()?;
        let serial: u64 = field("_AUDIT_ID")?.parse().ok()?;
        let time: u64 = field("_SOURCE_REALTIME_TIMESTAMP")?.parse().ok()?;
        let (seconds, milliseconds) = (time / 1_000_000, time / 1000 % 1000);
        Some(format!(
            "audit: type={kind} audit({seconds}.{milliseconds:03}:{serial}):"
        ))
    };
    match (head(), super::prefix::word(message)) {
        (Some(head), (_, rest)) => [head.as_bytes(), rest].concat(),
        (None, _) => [b"Jan  1 00:00:00 audit: ", message].concat(),
    }
}

/// Text, or where that is not UTF-8 or holds what cannot be printed, its bytes.
fn bytes(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.as_bytes().to_vec()),
        Value::Array(numbers) => {
            let byte = |number: &Value| number.as_u64().and_then(|byte| u8::try_from(byte).ok());
            numbers.iter().map(byte).collect()
        }
        _ => None,
    }
}
