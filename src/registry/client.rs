//! The HTTP client: TLS by rustls with the certificates that this machine trusts, names as this
//! machine finds them, and no redirect that [`Registry`](super::Registry) has not looked at.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use super::retry::Failed;
use super::url::Url;
use crate::host::names;
use crate::{Doing, Error, Result, error};

/// How long a connection may take, with its TLS.
const CONNECT: Duration = Duration::from_secs(30);

/// How long nothing may move.
const IDLE: Duration = Duration::from_secs(60);

/// How long the head of an answer may take: behind some registries a large blob is copied before
/// they say that they have it.
const ANSWER: Duration = Duration::from_secs(300);

/// The largest bundle of certificates that is read.
const LARGEST: u64 = 16 << 20;

/// As many addresses of a host are tried.
const ADDRESSES: usize = 16;

/// Where distributions have what they trust: Debian and Arch, Fedora, openSUSE, Alpine.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// A client that trusts these.
pub fn agent(roots: Vec<Certificate<'static>>) -> Agent {
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::from(roots))
        .unversioned_rustls_crypto_provider(ring)
        .build();
    let config = Agent::config_builder()
        .http_status_as_error(false)
        // A header that is meant for one host must not reach another.
        .max_redirects(0)
        // Where an image goes is what the command says, not what the environment does.
        .proxy(None)
        .user_agent(concat!("gaoler/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls)
        .timeout_connect(Some(CONNECT))
        .timeout_per_read(Some(IDLE))
        .timeout_per_write(Some(IDLE))
        .timeout_recv_response(Some(ANSWER))
        .build();
    Agent::with_parts(config, DefaultConnector::new(), Names)
}

/// The certificates in the file that was named, or else in `SSL_CERT_FILE`, or else this machine's.
///
/// # Errors
/// There is no such file, or no certificate in it.
pub fn roots(named: Option<&Path>) -> Result<Vec<Certificate<'static>>> {
    let named = named
        .map(Path::to_owned)
        .or_else(|| std::env::var_os("SSL_CERT_FILE").map(PathBuf::from));
    let usual = || {
        let mut known = BUNDLES.iter().map(PathBuf::from);
        known.find(|path| path.exists())
    };
    let path = named.or_else(usual).ok_or_else(|| {
        Error::new(
            "find out which certificates this machine trusts",
            format!("there is neither {}", BUNDLES.join(" nor ")),
        )
        .hint("install ca-certificates, or name a file: --ca FILE")
    })?;
    let doing = || format!("read the certificates in {}", path.display());
    let mut text = Vec::new();
    let file = File::open(&path).doing(doing)?;
    file.take(LARGEST).read_to_end(&mut text).doing(doing)?;
    let certificates: Vec<Certificate<'static>> = parse_pem(&text)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    match certificates.is_empty() {
        false => Ok(certificates),
        true => Err(Error::usage(doing(), "there are none, as PEM has them")),
    }
}

/// Names are looked up by the host: a static program has no name service of its own (docs/decisions/0002).
#[derive(Debug)]
struct Names;

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        _: &Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let bad = || ureq::Error::BadUri(uri.to_string());
        let origin = Url::parse(&uri.to_string()).ok_or_else(bad)?.origin();
        let bare = origin.host.trim_start_matches('[').trim_end_matches(']');
        let found = match bare.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => names::addresses(bare).map_err(|error| ureq::Error::Other(error.into()))?,
        };
        let mut all = self.empty();
        for address in found.into_iter().take(ADDRESSES) {
            all.push(SocketAddr::new(address, origin.port));
        }
        match all.is_empty() {
            false => Ok(all),
            true => Err(ureq::Error::HostNotFound),
        }
    }
}

/// What a failure of the client means.
pub fn failed(doing: &str, error: ureq::Error) -> Failed {
    use ureq::Error as E;
    let finally = |why: String| Failed::Finally(Error::new(doing, why));
    match error {
        E::Timeout(_) => Failed::Again(Error::new(doing, "it does not answer in time"), None),
        E::Io(error) => match tls_error(&error) {
            Some(tls) => Failed::Finally(of_tls(doing, tls)),
            None if error.kind() == ErrorKind::UnexpectedEof => {
                Failed::Again(Error::new(doing, "it hangs up before it is done"), None)
            }
            None => Failed::Again(Error::new(doing, error::explain(&error)), None),
        },
        E::Rustls(error) => Failed::Finally(of_tls(doing, &error)),
        E::HostNotFound => finally("no such host is known".to_owned()),
        E::Other(error) => finally(error.to_string()),
        E::Protocol(_) | E::LargeResponseHeader(..) => {
            finally("it does not answer as a registry does".to_owned())
        }
        other => finally(other.to_string()),
    }
}

fn tls_error(error: &std::io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn of_tls(doing: &str, tls: &rustls::Error) -> Error {
    use rustls::{CertificateError as C, Error as T};
    let error = Error::new(doing, format!("TLS: {tls}"));
    match tls {
        T::InvalidCertificate(C::UnknownIssuer) => {
            error.hint("if it is a registry of your own, name its authority: --ca FILE")
        }
        T::InvalidCertificate(_) => {
            error.hint("the registry's certificate is not one for this name, or not valid now")
        }
        T::InvalidMessage(_) => error.hint(
            "if the registry has no TLS, and whoever is between may read and change what is said, \
             say so: --plain-http",
        ),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_trusts_somebody_and_a_file_without_certificates_nobody() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("ca.pem");
        std::fs::write(&file, "no certificate\n").unwrap();
        let error = roots(Some(&file)).unwrap_err();
        assert!(error.to_string().contains("there are none"), "{error}");
        assert!(roots(Some(&place.path().join("none"))).is_err());
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        use std::io::Error as Io;
        let again = |error| matches!(failed("ask", error), Failed::Again(..));
        for kind in [
            ErrorKind::ConnectionRefused,
            ErrorKind::ConnectionReset,
            ErrorKind::UnexpectedEof,
        ] {
            assert!(again(ureq::Error::Io(Io::from(kind))), "{kind}");
        }
        assert!(again(ureq::Error::Timeout(ureq::Timeout::PerRead)));
        let tls = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let wrapped = Io::new(ErrorKind::InvalidData, tls.clone());
        for error in [
            ureq::Error::Io(wrapped),
            ureq::Error::Rustls(tls),
            ureq::Error::HostNotFound,
        ] {
            assert!(!again(error));
        }
    }
}
