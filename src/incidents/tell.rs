//! Telling of an incident: the host's journald or syslog, a command, a webhook.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::Incident;
use crate::spec::{Incidents, Webhook};
use crate::{Doing, Error, Result};

/// journald's own socket.
const JOURNAL: &str = "/run/systemd/journal/socket";

/// syslogd's.
const SYSLOG: &str = "/dev/log";

/// `LOG_AUTHPRIV | LOG_WARNING` (`syslog(3)`): 10 * 8 + 4.
const PRIORITY: u8 = 84;

/// How long a command, or who listens at a webhook, may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a command is looked at.
const POLL: Duration = Duration::from_millis(20);

/// As much is read of what a webhook answers.
const ANSWER: u64 = 1024;

/// Tells of it in every way that there is. What could not be told is answered, in words.
pub fn tell(incident: &Incident, how: &Incidents) -> Vec<String> {
    let mut failed = Vec::new();
    if let Err(error) = log(incident, Path::new(JOURNAL), Path::new(SYSLOG)) {
        failed.push(error.to_string());
    }
    let json = match serde_json::to_vec(incident) {
        Ok(json) => json,
        Err(error) => return vec![error.to_string()],
    };
    if !how.command.is_empty()
        && let Err(error) = run(&how.command, &json, PATIENCE)
    {
        failed.push(error.to_string());
    }
    if let Some(webhook) = &how.webhook
        && let Err(error) = post(webhook, &json)
    {
        failed.push(error.to_string());
    }
    failed
}

/// To journald if it is there, else to syslogd. A host with neither has only the store.
fn log(incident: &Incident, journal: &Path, syslog: &Path) -> Result<()> {
    // What a jail has named things must not make a line of its own.
    let text: String = incident.line().chars().map(plain).collect();
    let (path, message) = if journal.exists() {
        let fields = [
            ("PRIORITY", "4"),
            ("SYSLOG_FACILITY", "10"),
            ("SYSLOG_IDENTIFIER", "gaoler"),
            ("GAOLER_JAIL", &incident.jail),
            ("GAOLER_INCIDENT", &incident.id.to_string()),
            ("GAOLER_KIND", incident.kind.name()),
            ("MESSAGE", &text),
        ];
        let lines = fields.map(|(name, value)| format!("{name}={value}\n"));
        (journal, lines.concat())
    } else if syslog.exists() {
        let pid = std::process::id();
        (syslog, format!("<{PRIORITY}>gaoler[{pid}]: {text}"))
    } else {
        return Ok(());
    };
    let doing = || format!("tell {} of incident {}", path.display(), incident.id);
    let socket = UnixDatagram::unbound().doing(doing)?;
    // One that hangs must not keep the next from being seen.
    socket.set_nonblocking(true).doing(doing)?;
    socket.send_to(message.as_bytes(), path).doing(doing)?;
    Ok(())
}

fn plain(c: char) -> char {
    if c.is_control() { '?' } else { c }
}

/// Runs the command with this at its standard input, and kills it if it takes too long.
fn run(words: &[String], input: &[u8], patience: Duration) -> Result<()> {
    let doing = || format!("tell {} of an incident", words.join(" "));
    let (program, arguments) = words
        .split_first()
        .ok_or_else(|| Error::new(doing(), "it is empty"))?;
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .doing(doing)?;
    let until = Instant::now() + patience;
    // A pipe takes what an incident has at most only if somebody reads; so it is not waited for.
    let writer = child.stdin.take().map(|mut pipe| {
        let input = input.to_vec();
        // One that does not want to hear it all may still do what it is there for.
        std::thread::spawn(move || pipe.write_all(&input).unwrap_or_default())
    });
    let status = loop {
        match child.try_wait().doing(doing)? {
            Some(status) => break status,
            None if Instant::now() > until => {
                child.kill().doing(doing)?;
                child.wait().doing(doing)?;
                let why = format!("it was killed, as it is after {} s", patience.as_secs());
                return Err(Error::new(doing(), why));
            }
            None => std::thread::sleep(POLL),
        }
    };
    if let Some(writer) = writer.filter(|writer| writer.is_finished()) {
        writer.join().unwrap_or_default();
    }
    match status.success() {
        true => Ok(()),
        false => Err(Error::new(doing(), status)),
    }
}

/// `POST`, as far as HTTP/1.1 is needed for that (RFC 9112): the answer's status is all that counts.
fn post(webhook: &Webhook, body: &[u8]) -> Result<()> {
    let doing = || format!("tell {webhook} of an incident");
    let mut stream = TcpStream::connect_timeout(&webhook.address, PATIENCE).doing(doing)?;
    stream.set_read_timeout(Some(PATIENCE)).doing(doing)?;
    stream.set_write_timeout(Some(PATIENCE)).doing(doing)?;
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: gaoler\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        webhook.path,
        webhook.address,
        body.len()
    );
    stream.write_all(head.as_bytes()).doing(doing)?;
    stream.write_all(body).doing(doing)?;
    let status = status(&mut stream).doing(doing)?;
    match status {
        Some(200..=299) => Ok(()),
        Some(code) => Err(Error::new(doing(), format!("it answers {code}"))),
        None => Err(Error::new(doing(), "it does not answer as HTTP does")),
    }
}

/// The code of `HTTP/1.1 200 OK`.
fn status(stream: &mut impl Read) -> std::io::Result<Option<u16>> {
    let mut answer = Vec::new();
    let mut byte = [0];
    while answer.len() < ANSWER as usize && stream.read(&mut byte)? == 1 {
        if byte == *b"\n" {
            break;
        }
        answer.extend(byte);
    }
    let text = String::from_utf8_lossy(&answer);
    let mut words = text.split_ascii_whitespace();
    let version = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
    Ok(words
        .next()
        .filter(|_| version)
        .and_then(|code| code.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incidents::Before;
    use crate::spec::IncidentKind;
    use std::net::TcpListener;

    fn incident() -> Incident {
        Incident {
            id: 4,
            jail: "web".to_owned(),
            kind: IncidentKind::Program,
            subject: "/tmp/x".to_owned(),
            detail: "it runs a\nprogram".to_owned(),
            first: "2026-11-22T11:40:20Z".to_owned(),
            last: "2026-11-22T11:40:20Z".to_owned(),
            count: 1,
            pid: Some(7),
            generation: Some(1),
            frozen: false,
            before: Before::default(),
        }
    }

    #[test]
    fn journald_gets_fields_and_syslogd_a_line() {
        let place = tempfile::tempdir().unwrap();
        let [journal, syslog] = ["journal", "syslog"].map(|name| place.path().join(name));
        log(&incident(), &journal, &syslog).unwrap();
        let heard = |socket: &UnixDatagram| {
            let mut bytes = [0; 4096];
            let length = socket.recv(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes[..length]).into_owned()
        };
        let syslogd = UnixDatagram::bind(&syslog).unwrap();
        log(&incident(), &journal, &syslog).unwrap();
        let line = heard(&syslogd);
        assert!(line.starts_with("<84>gaoler["), "{line}");
        assert!(
            line.ends_with("]: incident 4: web: program: it runs a?program"),
            "{line}"
        );
        let journald = UnixDatagram::bind(&journal).unwrap();
        log(&incident(), &journal, &syslog).unwrap();
        let entry = heard(&journald);
        assert!(entry.contains("\nGAOLER_INCIDENT=4\n"), "{entry}");
        assert_eq!(entry.lines().count(), 7, "{entry}");
    }

    #[test]
    fn a_command_gets_json_and_may_neither_fail_nor_hang() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("got");
        let words = |script: String| ["sh", "-c", &script].map(str::to_owned).to_vec();
        let long = Duration::from_secs(10);
        let large = vec![b'x'; 300_000];
        run(&words(format!("cat > {}", file.display())), &large, long).unwrap();
        assert_eq!(std::fs::read(&file).unwrap().len(), large.len());
        assert!(run(&words("exit 3".to_owned()), b"", long).is_err());
        let error = run(
            &words("sleep 60".to_owned()),
            &large,
            Duration::from_millis(100),
        );
        assert!(error.unwrap_err().to_string().contains("killed"));
        assert!(run(&["/no/such".to_owned()], b"", long).is_err());
    }

    #[test]
    fn a_webhook_gets_the_same_and_says_whether_it_has_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let webhook = Webhook {
            address: listener.local_addr().unwrap(),
            path: "/hook?x".to_owned(),
        };
        let answers = [
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 500 No\r\n\r\n",
            "220 smtp\r\n",
            "",
        ];
        let server = std::thread::spawn(move || {
            answers.map(|answer| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut got = Vec::new();
                let mut buffer = [0; 4096];
                while !got.ends_with(b"}") {
                    let length = stream.read(&mut buffer).unwrap();
                    got.extend(&buffer[..length]);
                }
                stream.write_all(answer.as_bytes()).unwrap();
                String::from_utf8(got).unwrap()
            })
        });
        let told = answers.map(|_| post(&webhook, b"{\"id\":4}").is_ok());
        assert_eq!(told, [true, false, false, false]);
        let got = server.join().unwrap();
        assert!(
            got[0].starts_with("POST /hook?x HTTP/1.1\r\n"),
            "{}",
            got[0]
        );
        assert!(got[0].ends_with("\r\n\r\n{\"id\":4}"), "{}", got[0]);
        // Nobody listens any more.
        assert!(post(&webhook, b"{}").is_err());
    }
}
