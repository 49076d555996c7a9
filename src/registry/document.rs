//! Manifests and indexes as a registry has them (OCI image specification 1.1, `manifest.md`,
//! `image-index.md`): what is in them that gaoler looks at.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Digest;
use crate::export::oci::image::media;

/// The largest manifest or index: "registries should reject larger ones than 4 MiB" is what clients
/// can count on ("Pushing Manifests").
pub const LARGEST: u64 = 4 << 20;

/// Either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// An image, or something else that consists of blobs.
    Manifest(Box<Manifest>),
    /// A list of manifests.
    Index(Index),
}

/// What an image consists of.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// What a container is made with.
    pub config: Descriptor,
    /// What is in its root.
    pub layers: Vec<Descriptor>,
    /// What it is attached to.
    #[serde(default)]
    pub subject: Option<Descriptor>,
}

impl Manifest {
    /// All blobs that it names.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        std::iter::once(&self.config).chain(&self.layers)
    }
}

/// A list of manifests.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Index {
    /// Them.
    pub manifests: Vec<Descriptor>,
}

/// Points to a blob or a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What is in it.
    pub media_type: String,
    /// What it is called.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    /// What kind of thing it is, if it is no image.
    #[serde(default)]
    pub artifact_type: Option<String>,
    /// For which machines it is.
    #[serde(default)]
    pub platform: Option<Platform>,
}

/// A kind of machine, as Go names them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Platform {
    /// `amd64`
    pub architecture: String,
    /// `linux`
    pub os: String,
}

/// Reads a document. `told` is what the registry says it is.
///
/// # Errors
/// In words: it is neither an OCI manifest nor an OCI index, or could be taken for both.
pub fn parse(bytes: &[u8], told: Option<&str>) -> Result<Document, String> {
    let wrong = |error: serde_json::Error| format!("it cannot be read: {error}");
    let value: Value = serde_json::from_slice(bytes).map_err(wrong)?;
    // A struct can be read from a list, too, which no other client takes for a document.
    if !value.is_object() {
        return Err("it is no object of JSON".to_owned());
    }
    let own = value["mediaType"].as_str();
    let told = told.map(|told| told.split(';').next().unwrap_or_default().trim());
    // Two clients must not see two images in one document (CVE-2021-41190).
    if let (Some(own), Some(told)) = (own, told)
        && own != told
    {
        return Err(format!(
            "it says that it is {own:?}, and the registry {told:?}"
        ));
    }
    let has = |key: &str| value.get(key).is_some();
    if has("manifests") && (has("layers") || has("config")) {
        return Err("it has both layers and manifests".to_owned());
    }
    match own.or(told) {
        Some(media::MANIFEST) => {
            let manifest = Manifest::deserialize(&value).map_err(wrong)?;
            Ok(Document::Manifest(Box::new(manifest)))
        }
        Some(media::INDEX) => Ok(Document::Index(Index::deserialize(&value).map_err(wrong)?)),
        Some(other) => Err(format!(
            "it is {other:?}, and neither an OCI image nor an index"
        )),
        None => Err("nobody says what it is".to_owned()),
    }
}

/// What a list of what is attached says of a manifest ("Listing Referrers"): its type, and its own
/// annotations.
///
/// # Errors
/// In words: it cannot be read.
pub fn referrer(bytes: &[u8]) -> Result<Value, String> {
    let manifest: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let mut entry = json!({
        "mediaType": media::MANIFEST,
        "digest": Digest::of(bytes).to_string(),
        "size": bytes.len(),
    });
    let kind = match &manifest["artifactType"] {
        Value::Null => &manifest["config"]["mediaType"],
        named => named,
    };
    for (key, value) in [
        ("artifactType", kind),
        ("annotations", &manifest["annotations"]),
    ] {
        if !value.is_null() {
            entry[key] = value.clone();
        }
    }
    Ok(entry)
}

/// The index under the referrers tag with one more entry; `None` if it is there already. What others
/// have attached stays as it is.
///
/// # Errors
/// In words: what is there is no index, or would become too large.
pub fn with_referrer(index: Option<&[u8]>, referrer: &Value) -> Result<Option<Vec<u8>>, String> {
    let mut value = match index {
        Some(bytes) => match parse(bytes, None)? {
            Document::Index(_) => serde_json::from_slice(bytes).map_err(|it| it.to_string())?,
            Document::Manifest(_) => return Err("it is a manifest, and no index".to_owned()),
        },
        None => json!({
            "schemaVersion": 2,
            "mediaType": media::INDEX,
            "manifests": [],
        }),
    };
    let none = || "it has no list of manifests".to_owned();
    let list = value["manifests"].as_array_mut().ok_or_else(none)?;
    if list
        .iter()
        .any(|entry| entry["digest"] == referrer["digest"])
    {
        return Ok(None);
    }
    list.push(referrer.clone());
    let bytes = value.to_string().into_bytes();
    match bytes.len() as u64 > LARGEST {
        true => Err(format!("it would become larger than {LARGEST} bytes")),
        false => Ok(Some(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(of: &[u8]) -> Value {
        json!({
            "mediaType": media::LAYER,
            "digest": Digest::of(of).to_string(),
            "size": of.len(),
        })
    }

    fn manifest() -> Value {
        json!({
            "schemaVersion": 2,
            "mediaType": media::MANIFEST,
            "config": descriptor(b"{}"),
            "layers": [descriptor(b"a"), descriptor(b"b")],
            "other": 1,
        })
    }

    fn read(value: &Value, told: Option<&str>) -> Result<Document, String> {
        parse(value.to_string().as_bytes(), told)
    }

    #[test]
    fn a_manifest_names_its_blobs() {
        let Ok(Document::Manifest(found)) = read(&manifest(), Some(media::MANIFEST)) else {
            panic!()
        };
        let digests: Vec<Digest> = found.blobs().map(|blob| blob.digest.clone()).collect();
        assert_eq!(digests, [b"{}".as_slice(), b"a", b"b"].map(Digest::of));
        // One without a type of its own is what the registry says.
        let mut untyped = manifest();
        untyped.as_object_mut().unwrap().remove("mediaType");
        let told = format!("{}; charset=utf-8", media::MANIFEST);
        assert!(matches!(
            read(&untyped, Some(&told)),
            Ok(Document::Manifest(_))
        ));
        assert!(read(&untyped, None).is_err());
    }

    #[test]
    fn an_index_names_machines() {
        let mut entry = descriptor(b"m");
        entry["platform"] = json!({"architecture": "arm64", "os": "linux", "variant": "v8"});
        let index = json!({"mediaType": media::INDEX, "manifests": [entry, descriptor(b"n")]});
        let Ok(Document::Index(found)) = read(&index, None) else {
            panic!()
        };
        let first = found.manifests[0].platform.as_ref().unwrap();
        assert_eq!(
            (first.os.as_str(), first.architecture.as_str()),
            ("linux", "arm64")
        );
        assert_eq!(found.manifests[1].platform, None);
    }

    /// CVE-2021-41190
    #[test]
    fn what_could_be_taken_for_two_things_is_refused() {
        let mut both = manifest();
        both["manifests"] = json!([]);
        assert!(read(&both, None).unwrap_err().contains("both"));
        both["mediaType"] = json!(media::INDEX);
        assert!(read(&both, None).is_err());
        assert!(read(&manifest(), Some(media::INDEX)).is_err());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let docker = "application/vnd.docker.distribution.manifest.v2+json";
        let mut other = manifest();
        other["mediaType"] = json!(docker);
        assert!(read(&other, Some(docker)).unwrap_err().contains("neither"));
        for (key, value) in [
            ("digest", json!("sha256:../../../etc/passwd")),
            ("digest", json!("sha512:00")),
            ("size", json!(-1)),
            ("size", json!(1e30)),
            ("mediaType", Value::Null),
        ] {
            let mut odd = manifest();
            odd["layers"][1][key] = value.clone();
            assert!(read(&odd, None).is_err(), "{key} {value}");
        }
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let listed = json!([manifest()["config"], manifest()["layers"]]).to_string();
        for text in ["", "[]", "null", "{}", &deep, &listed] {
            assert!(parse(text.as_bytes(), Some(media::MANIFEST)).is_err());
        }
    }

    #[test]
    fn an_attached_manifest_is_listed_by_its_type() {
        let mut attached = manifest();
        attached["artifactType"] = json!("text/x");
        attached["annotations"] = json!({"a": "b"});
        let bytes = attached.to_string();
        let entry = referrer(bytes.as_bytes()).unwrap();
        let expected = json!({
            "mediaType": media::MANIFEST,
            "digest": Digest::of(bytes.as_bytes()).to_string(),
            "size": bytes.len(),
            "artifactType": "text/x",
            "annotations": {"a": "b"},
        });
        assert_eq!(entry, expected);
        let entry = referrer(manifest().to_string().as_bytes()).unwrap();
        assert_eq!(entry["artifactType"], media::LAYER);
        assert_eq!(entry.get("annotations"), None);
    }

    #[test]
    fn an_entry_is_added_once_and_the_others_stay() {
        let first = descriptor(b"first");
        let index = with_referrer(None, &first).unwrap().unwrap();
        assert_eq!(with_referrer(Some(&index), &first), Ok(None));
        let mut value: Value = serde_json::from_slice(&index).unwrap();
        value["manifests"][0]["annotations"] = json!({"by": "others"});
        let index = value.to_string();
        let second = descriptor(b"second");
        let grown = with_referrer(Some(index.as_bytes()), &second)
            .unwrap()
            .unwrap();
        let grown: Value = serde_json::from_slice(&grown).unwrap();
        assert_eq!(grown["manifests"], json!([value["manifests"][0], second]));
        let no_index = manifest().to_string();
        assert!(with_referrer(Some(no_index.as_bytes()), &second).is_err());
    }
}
