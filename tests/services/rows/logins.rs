//! Servers that people log in to.

use super::{NONE, Row};

const SSHD: &str = "ListenAddress 127.0.0.1
HostKey @DIR@/host
PidFile @DIR@/sshd.pid
AuthorizedKeysFile @DIR@/client-key.pub
StrictModes no
UsePAM no
";

const VSFTPD: &str = "listen=YES
listen_address=127.0.0.1
background=NO
run_as_launching_user=YES
anonymous_enable=YES
local_enable=NO
anon_root=@DIR@/own
ftp_username=www-data
write_enable=YES
anon_upload_enable=YES
anon_umask=022
no_anon_password=YES
pasv_address=127.0.0.1
pasv_min_port=2100
pasv_max_port=2101
vsftpd_log_file=@DIR@/own/log
dual_log_enable=NO
xferlog_enable=YES
";

/// One by the server's ports, one by the client's: both ways to open the second connection.
const TRANSFER: &str = "set -eu
rm -f @DIR@/own/upload/*
date >@DIR@/sent
curl -sfS -T @DIR@/sent ftp://127.0.0.1/upload/one
curl -sfS -o @DIR@/fetched ftp://127.0.0.1/upload/one
cmp @DIR@/sent @DIR@/fetched
curl -sfS ftp://127.0.0.1/upload/ | grep -q one
";

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "sshd",
        needs: &["/usr/sbin/sshd", "/usr/bin/ssh", "/usr/bin/ssh-keygen"],
        packages: "openssh-server openssh-client",
        files: &[("sshd.conf", SSHD)],
        prepare: "mkdir -p -m 755 /run/sshd
            grep -q ^guest: /etc/passwd || echo 'guest:*:4242:4242::@DIR@:/bin/sh' >>/etc/passwd
            for key in host client-key; do ssh-keygen -q -t ed25519 -N '' -f @DIR@/$key; done",
        // For whoever logs in it becomes another user.
        options: &["--start-as-root", "--ready", "tcp:22"],
        command: &["/usr/sbin/sshd", "-D", "-e", "-f", "@DIR@/sshd.conf"],
        exercises: &[
            "sh -c 'ssh -F none -i @DIR@/client-key -o BatchMode=yes -o StrictHostKeyChecking=no \
             -o UserKnownHostsFile=/dev/null guest@127.0.0.1 echo it works | grep -qx \"it works\"'",
        ],
        ..NONE
    },
    Row {
        name: "vsftpd",
        needs: &["/usr/sbin/vsftpd", "/usr/bin/curl"],
        packages: "vsftpd curl",
        files: &[("vsftpd.conf", VSFTPD), ("transfer", TRANSFER)],
        prepare: "chown root:root @DIR@/own
            mkdir @DIR@/own/upload
            touch @DIR@/own/log
            chown www-data:www-data @DIR@/own/upload @DIR@/own/log @DIR@/vsftpd.conf",
        options: &["--user", "www-data", "--as-user", "--ready", "tcp:21"],
        command: &["/usr/sbin/vsftpd", "@DIR@/vsftpd.conf"],
        exercises: &["sh @DIR@/transfer"],
        ..NONE
    },
];
