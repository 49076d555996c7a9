//! Mail.

use super::{NONE, Row};

const SMTPD: &str = "listen on 127.0.0.1
action \"local\" maildir \"@DIR@/mail/%{user.username}\"
match for local action \"local\"
";

/// A message by SMTP, which must come to lie in the reader's maildir.
const SEND: &str = "set -eu
before=$(ls @DIR@/mail/reader/new 2>/dev/null | wc -l)
printf 'Subject: a message\\r\\n\\r\\nto be kept\\r\\n' >@DIR@/message
curl -sfS smtp://127.0.0.1/host --mail-from sender@localhost --mail-rcpt reader@localhost -T @DIR@/message
for turn in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	now=$(ls @DIR@/mail/reader/new 2>/dev/null | wc -l)
	[ \"$now\" = \"$before\" ] || exec grep -rq 'to be kept' @DIR@/mail/reader/new
	sleep 0.5
done
exit 1
";

pub(super) const ROWS: &[Row] = &[Row {
    name: "opensmtpd",
    needs: &["/usr/sbin/smtpd", "/usr/bin/curl"],
    packages: "opensmtpd curl",
    files: &[("smtpd.conf", SMTPD), ("send", SEND)],
    prepare:
        "grep -q ^reader: /etc/passwd || echo 'reader:*:4242:4242::@DIR@/home:/bin/sh' >>/etc/passwd
        grep -q ^reader: /etc/group || echo 'reader:*:4242:' >>/etc/group
        mkdir -p /var/lib/opensmtpd/empty
        mkdir @DIR@/mail @DIR@/home
        chown reader @DIR@/mail @DIR@/home",
    // Its parts are several users, and the one that delivers is each reader in turn.
    options: &["--start-as-root", "--ready", "tcp:25"],
    command: &["/usr/sbin/smtpd", "-d", "-f", "@DIR@/smtpd.conf"],
    exercises: &["sh @DIR@/send"],
    ..NONE
}];
