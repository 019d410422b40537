//! Objects of a bucket in AWS S3, or in what speaks its protocol: listed and deleted (Amazon S3 API, `ListObjectsV2` and
//! `DeleteObject`).

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SigningSettings, UriPathNormalizationMode,
};
use aws_smithy_xml::decode::{Document, ScopedDecoder, XmlDecodeError, try_data};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use reqwest::{Method, Url};

use super::aws::Aws;
use super::signed::Request;
use crate::backoff::Backoff;
use crate::budget::S3_PAGES;
use crate::error::{Error, Result};
use crate::failure::{FailureClass, FailureKind};
use crate::image::is_this_machine;
use crate::inputs::CacheSpec;
use crate::ports::{Writes, random};

/// What a signature's own spelling of a path leaves as it is (AWS, "Create a signed AWS API request", `UriEncode`).
const PLAIN: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A bucket, with the credentials for it.
pub(crate) struct Bucket<'a> {
    aws: &'a Aws,
    config: SdkConfig,
    name: String,
    region: String,
    /// The address of the bucket, with a slash at the end.
    address: String,
    retries: u32,
}

/// An object, which has no content here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) key: String,
    pub(crate) bytes: u64,
}

impl Object {
    /// Whether a URL can name the object. One with the part `..` would name another one (URL standard, "Path state").
    #[must_use]
    pub(crate) fn has_url(&self) -> bool {
        !self.key.split('/').any(|part| matches!(part, "." | ".."))
    }
}

/// A page of a list.
#[derive(Debug, Default, PartialEq, Eq)]
struct Page {
    objects: Vec<Object>,
    /// What keys begin with, up to the delimiter.
    folders: Vec<String>,
    /// Where the next page begins.
    next: Option<String>,
}

impl<'a> Bucket<'a> {
    /// The bucket of a cache; nothing is asked yet.
    ///
    /// # Errors
    /// If the address is none, or the name is none of a bucket.
    pub(crate) async fn new(aws: &'a Aws, cache: &CacheSpec, retries: u32) -> Result<Self> {
        let of = |name: &str| cache.get(name).unwrap_or_default().to_owned();
        let (name, region) = (of("bucket"), of("region"));
        let address = address(cache).ok_or_else(|| {
            Error::input("input `cache`: bucket, region and endpoint_url are no address of S3")
        })?;
        let config = aws.config(Some(&region), false, false).await;
        Ok(Self { aws, config, name, region, address, retries })
    }

    /// The name of the bucket.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The folders right below `prefix`, by their names.
    ///
    /// # Errors
    /// If the list cannot be read to its end.
    pub(crate) async fn folders(&self, prefix: &str) -> Result<BTreeSet<String>> {
        let mut folders = BTreeSet::new();
        for page in self.list(prefix, Some("/")).await? {
            for folder in page.folders {
                let name = folder.strip_prefix(prefix).and_then(|rest| rest.strip_suffix('/'));
                folders.insert(name.ok_or_else(|| self.foreign(&folder, prefix))?.to_owned());
            }
        }
        Ok(folders)
    }

    /// All objects below `prefix`.
    ///
    /// # Errors
    /// If the list cannot be read to its end.
    pub(crate) async fn objects(&self, prefix: &str) -> Result<Vec<Object>> {
        let pages = self.list(prefix, None).await?;
        let objects: Vec<Object> = pages.into_iter().flat_map(|page| page.objects).collect();
        match objects.iter().find(|object| !object.key.starts_with(prefix)) {
            Some(object) => Err(self.foreign(&object.key, prefix)),
            None => Ok(objects),
        }
    }

    /// Deletes an object; one that is gone counts as deleted.
    ///
    /// # Errors
    /// If S3 refuses, or does not answer; if no URL can name the object.
    pub(crate) async fn delete(&self, object: &Object, _: Writes) -> Result<()> {
        if !object.has_url() {
            return Err(Error::of(
                FailureKind::BadAnswer,
                format!("no URL can name the object `{}`", object.key),
            ));
        }
        let path: Vec<String> = object.key.split('/').map(encoded).collect();
        self.ask(Method::DELETE, &path.join("/"), "s3:DeleteObject").await.map(drop)
    }

    /// Of a key that was not asked for. What is listed so is not to be trusted.
    fn foreign(&self, key: &str, prefix: &str) -> Error {
        Error::of(FailureKind::BadAnswer, format!("failed to list the bucket {}", self.name))
            .cause(format!("it lists `{key}`, which does not begin with `{prefix}`"))
    }

    async fn list(&self, prefix: &str, delimiter: Option<&str>) -> Result<Vec<Page>> {
        let mut pages: Vec<Page> = Vec::new();
        for _ in 0..S3_PAGES {
            let fields = [
                ("prefix", Some(prefix)),
                ("delimiter", delimiter),
                ("continuation-token", pages.last().and_then(|page| page.next.as_deref())),
            ];
            let fields =
                fields.iter().filter_map(|(name, value)| Some(format!("&{name}={}", encoded((*value)?))));
            let query = "?list-type=2&encoding-type=url".to_owned() + &fields.collect::<String>();
            let answer = self.ask(Method::GET, &query, "s3:ListBucket").await?;
            let page = page(&answer).map_err(|error| {
                Error::of(FailureKind::BadAnswer, format!("failed to list the bucket {}", self.name))
                    .because(&error)
            })?;
            let ended = page.next.is_none();
            pages.push(page);
            if ended {
                return Ok(pages);
            }
        }
        Err(Error::of(FailureKind::BadAnswer, format!("failed to list the bucket {}", self.name))
            .cause(format!("the list has more than {S3_PAGES} pages")))
    }

    /// Sends a request, as often as `retries` says where S3 is too busy, and returns the body of a good answer.
    async fn ask(&self, method: Method, path: &str, right: &str) -> Result<Vec<u8>> {
        let what = format!(
            "failed to {} the bucket {}",
            if method == Method::GET { "list" } else { "clean" },
            self.name
        );
        let backoff = Backoff { first: Duration::from_millis(300), longest: Duration::from_secs(10) };
        let mut tried = 0;
        loop {
            let mut settings = SigningSettings::default();
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
            let request = Request {
                what: &what,
                method: method.clone(),
                url: &format!("{}{path}", self.address),
                service: "s3",
                region: &self.region,
                settings,
                form: None,
            };
            let error = match self.aws.send(&self.config, request).await {
                Ok((200..300, body)) => return Ok(body),
                Ok((404, _)) if method == Method::DELETE => return Ok(Vec::new()),
                Ok((status, body)) => self.refused(&what, right, status, &body),
                Err(error) => error,
            };
            if tried == self.retries || error.class != FailureClass::Unavailable {
                return Err(error);
            }
            tokio::time::sleep(backoff.wait(tried, random::fraction())).await;
            tried += 1;
        }
    }

    /// The error of a bad answer (Amazon S3 API, "Error responses").
    fn refused(&self, what: &str, right: &str, status: u16, body: &[u8]) -> Error {
        let code = code(body).unwrap_or_default();
        let error =
            |kind| Error::of(kind, what).cause(format!("S3 answered {status} {code}").trim().to_owned());
        match (status, code.as_str()) {
            (403, "ExpiredToken" | "InvalidAccessKeyId" | "SignatureDoesNotMatch") => {
                error(FailureKind::AwsCredentials)
            }
            (401 | 403, _) => error(FailureKind::AuthDenied)
                .hint(format!("allow {right} on the bucket {} for this role (docs/prune.md)", self.name)),
            (404, "NoSuchBucket") => error(FailureKind::BadInput).hint("correct bucket in the input cache"),
            (
                301 | 307 | 400,
                "PermanentRedirect" | "TemporaryRedirect" | "AuthorizationHeaderMalformed" | "",
            ) => error(FailureKind::BadInput)
                .hint("the bucket may be in another region: correct region in the input cache"),
            _ => error(FailureKind::AwsUnavailable),
        }
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, &PLAIN).to_string()
}

/// The address of a bucket, with a slash at the end; `None` if the attributes are none of a bucket. The bucket's name is in
/// the host, or in the path where a host cannot have it or `use_path_style` says so, as BuildKit's client does it.
pub(crate) fn address(cache: &CacheSpec) -> Option<String> {
    let (bucket, region) = (cache.get("bucket")?, cache.get("region")?);
    let is_name = |text: &str, more: &[u8]| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
    };
    if !is_name(bucket, b"-._") || !is_name(region, b"-") {
        return None;
    }
    let end = if region.starts_with("cn-") { ".cn" } else { "" };
    let own = format!("https://s3.{region}.amazonaws.com{end}");
    let url = Url::parse(cache.get("endpoint_url").unwrap_or(&own)).ok()?;
    let url =
        Some(url).filter(|url| matches!(url.scheme(), "http" | "https") && url.username().is_empty())?;
    let host = url.host_str()?;
    let in_path = cache.get("use_path_style") == Some("true")
        || bucket.contains(['.', '_'])
        || is_this_machine(host)
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let path = url.path().trim_end_matches('/');
    let scheme = url.scheme();
    Some(if in_path {
        format!("{scheme}://{host}{port}{path}/{bucket}/")
    } else {
        format!("{scheme}://{bucket}.{host}{port}{path}/")
    })
}

/// Reads a page of `ListObjectsV2`, whose keys are encoded as in a form.
fn page(answer: &[u8]) -> Result<Page, XmlDecodeError> {
    let mut page = Page::default();
    let mut document = Document::try_from(answer)?;
    let mut root = document.root_element()?;
    if !root.start_el().matches("ListBucketResult") {
        return Err(XmlDecodeError::custom("it is no list of a bucket"));
    }
    let (mut next, mut more) = (None, None);
    while let Some(mut tag) = root.next_tag() {
        match tag.start_el().local() {
            "Contents" => page.objects.push(object(&mut tag)?),
            "CommonPrefixes" => {
                while let Some(mut inner) = tag.next_tag() {
                    if inner.start_el().matches("Prefix") {
                        page.folders.push(decoded(&try_data(&mut inner)?)?);
                    }
                }
            }
            "IsTruncated" => more = Some(try_data(&mut tag)?.trim() == "true"),
            "NextContinuationToken" => next = Some(try_data(&mut tag)?.into_owned()),
            _ => {}
        }
    }
    page.next = match (more, next) {
        (Some(false), _) => None,
        (Some(true), Some(next)) => Some(next),
        _ => return Err(XmlDecodeError::custom("it does not say where the list ends")),
    };
    Ok(page)
}

fn object(tag: &mut ScopedDecoder<'_, '_>) -> Result<Object, XmlDecodeError> {
    let (mut key, mut bytes) = (None, 0);
    while let Some(mut inner) = tag.next_tag() {
        match inner.start_el().local() {
            "Key" => key = Some(decoded(&try_data(&mut inner)?)?),
            "Size" => bytes = try_data(&mut inner)?.trim().parse().unwrap_or_default(),
            _ => {}
        }
    }
    let key = key.ok_or_else(|| XmlDecodeError::custom("an object has no key"))?;
    Ok(Object { key, bytes })
}

fn decoded(text: &str) -> Result<String, XmlDecodeError> {
    let text = text.replace('+', " ");
    let text = percent_decode_str(&text).decode_utf8();
    text.map(std::borrow::Cow::into_owned).map_err(|_| XmlDecodeError::custom("a key is not UTF-8"))
}

/// The code of an error; `None` if the answer is none of S3's.
fn code(answer: &[u8]) -> Option<String> {
    let mut document = Document::try_from(answer).ok()?;
    let mut root = document.root_element().ok().filter(|root| root.start_el().matches("Error"))?;
    while let Some(mut tag) = root.next_tag() {
        if tag.start_el().matches("Code") {
            let code = try_data(&mut tag).ok()?.trim().to_owned();
            return Some(code).filter(|code| code.bytes().all(|b| b.is_ascii_alphanumeric()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::CacheKind;

    fn cache(attributes: &[(&str, &str)]) -> CacheSpec {
        let attributes =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        CacheSpec { kind: CacheKind::S3, attributes }
    }

    #[test]
    fn where_a_bucket_lies() {
        for (attributes, wanted) in [
            (&[("bucket", "b"), ("region", "eu-west-1")][..], Some("https://b.s3.eu-west-1.amazonaws.com/")),
            (&[("bucket", "b"), ("region", "cn-north-1")], Some("https://b.s3.cn-north-1.amazonaws.com.cn/")),
            (&[("bucket", "b.c"), ("region", "r")], Some("https://s3.r.amazonaws.com/b.c/")),
            (
                &[("bucket", "b"), ("region", "r"), ("endpoint_url", "https://minio.example:9000/")],
                Some("https://b.minio.example:9000/"),
            ),
            (
                &[
                    ("bucket", "b"),
                    ("region", "r"),
                    ("endpoint_url", "https://h/s3"),
                    ("use_path_style", "true"),
                ],
                Some("https://h/s3/b/"),
            ),
            (
                &[("bucket", "b"), ("region", "r"), ("endpoint_url", "http://127.0.0.1:1")],
                Some("http://127.0.0.1:1/b/"),
            ),
            (&[("bucket", "b/../c"), ("region", "r")], None),
            (&[("bucket", "b"), ("region", "r.evil.example/")], None),
            (&[("bucket", "b"), ("region", "r"), ("endpoint_url", "file:///x")], None),
            (&[("bucket", "b"), ("region", "r"), ("endpoint_url", "https://u:p@h")], None),
        ] {
            assert_eq!(address(&cache(attributes)).as_deref(), wanted, "{attributes:?}");
        }
    }

    #[test]
    fn pages_are_read() {
        let text = "<ListBucketResult xmlns=\"x\"><IsTruncated>true</IsTruncated><NextContinuationToken>a+b=</NextContinuationToken>\
            <Contents><Key>p/o%2Bx/a+b</Key><Size>12</Size></Contents><CommonPrefixes><Prefix>p/pr-7/</Prefix></CommonPrefixes></ListBucketResult>";
        let read = page(text.as_bytes()).unwrap();
        assert_eq!(read.objects, [Object { key: "p/o+x/a b".into(), bytes: 12 }]);
        assert_eq!((read.folders, read.next.as_deref()), (vec!["p/pr-7/".to_owned()], Some("a+b=")));
        for bad in [
            "",
            "<html></html>",
            "<ListBucketResult></ListBucketResult>",
            "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
            "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Size>1</Size></Contents></ListBucketResult>",
            "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>%ff</Key></Contents></ListBucketResult>",
        ] {
            assert!(page(bad.as_bytes()).is_err(), "{bad}");
        }
        assert_eq!(code(b"<Error><Code>NoSuchBucket</Code></Error>").as_deref(), Some("NoSuchBucket"));
        assert_eq!(code(b"<Error><Code>::error::x</Code></Error>"), None);
    }
}
