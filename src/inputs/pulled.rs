//! `mode: pull` of several images: the input `digests` as JSON, `{"api": "sha256:…", "web": "sha256:…"}`, as the output
//! `digests` or `images` of the job that built them says it. In: the inputs of the run. Out: those of each image.

use serde_json::Value;

use super::bake::image_name;
use super::lists::InputText as _;
use super::raw::RawInputs;
use crate::budget::{PULLED, more_than};
use crate::error::{Error, Result};
use crate::image::Digest;
use crate::shown;

/// The inputs of each image, where `digests` of a pull names several; else the inputs as they are.
///
/// # Errors
/// Names what in `digests` is no image or no digest.
pub(crate) fn each(raw: &[RawInputs]) -> Result<Vec<RawInputs>> {
    let [only] = raw else { return Ok(raw.to_vec()) };
    let digests = only.digests.trimmed().filter(|_| only.mode.trimmed() == Some("pull"));
    let Some(digests) = digests else { return Ok(raw.to_vec()) };
    if only.digest.trimmed().is_some() {
        return Err(bad("does not go with the input digest: put every digest into one of them"));
    }
    let prefix = only.image.trimmed();
    let images = chosen(read(digests)?, prefix, &only.targets.comma_items())?;
    if images.len() > PULLED {
        return Err(bad(more_than(PULLED, "images")));
    }
    let image = |(name, digest): (String, Result<Digest, String>)| {
        let digest = digest.map_err(|why| format!("`{name}`{why}"))?;
        Ok(RawInputs {
            image: Some(name),
            digest: Some(digest.to_string()),
            digests: None,
            targets: None,
            ..only.clone()
        })
    };
    let (each, wrong): (Vec<_>, Vec<_>) = images.into_iter().map(image).partition(Result::is_ok);
    let wrong: Vec<String> = wrong.into_iter().filter_map(Result::err).collect();
    if wrong.is_empty() { Ok(each.into_iter().flatten().collect()) } else { Err(bad(wrong.join("; "))) }
}

/// The images that `targets` names, or all; each under its full name: with the input `image`, a target's name stands behind
/// that one, unless it is there already.
///
/// # Errors
/// If a target is not among the images.
fn chosen(images: Vec<Named>, prefix: Option<&str>, targets: &[String]) -> Result<Vec<Named>> {
    let full = |name: &str| match prefix {
        Some(prefix) if name != prefix && !name.starts_with(&format!("{prefix}-")) => {
            image_name(Some(prefix), name)
        }
        _ => name.to_owned(),
    };
    let images: Vec<Named> = images.into_iter().map(|(name, digest)| (full(&name), digest)).collect();
    let wanted: Vec<&String> = targets.iter().filter(|target| *target != "default").collect();
    if wanted.is_empty() {
        return Ok(images);
    }
    let is = |target: &str, name: &str| name == image_name(prefix, target) || name == full(target);
    for target in &wanted {
        if !images.iter().any(|(name, _)| is(target, name)) {
            let have = shown::list(images.iter().map(|(name, _)| name));
            let why = format!("`{target}` is not in digests, which has {have}");
            return Err(Error::input(format!("input `targets`: {why}")));
        }
    }
    Ok(images.into_iter().filter(|(name, _)| wanted.iter().any(|target| is(target, name))).collect())
}

/// An image with its digest, or with why it has none, as the end of a sentence.
type Named = (String, Result<Digest, String>);

/// Reads the names and digests.
fn read(text: &str) -> Result<Vec<Named>> {
    let document: Value = serde_json::from_str(text).map_err(|error| {
        bad(format!("is no JSON ({error}); with mode pull it is an object such as {EXAMPLE}")).hint(FROM)
    })?;
    let Value::Object(members) = document else {
        return Err(bad(format!("is no JSON object such as {EXAMPLE}")).hint(FROM));
    };
    if members.is_empty() {
        return Err(bad("names no image: the job that built them published none").hint(FROM));
    }
    Ok(members.into_iter().map(|(name, value)| (name, digest(&value))).collect())
}

/// Reads an entry of the output `digests`, or of `images`.
fn digest(value: &Value) -> Result<Digest, String> {
    let digest = value.get("digest").unwrap_or(value).as_str().filter(|digest| !digest.is_empty());
    match digest.map(str::parse::<Digest>) {
        Some(Ok(digest)) => Ok(digest),
        Some(Err(error)) => Err(format!(": {error}")),
        None => {
            let outcome = value.get("outcome").and_then(Value::as_str);
            let outcome = outcome.map(|outcome| format!(" (outcome {outcome})")).unwrap_or_default();
            Err(format!(" has no digest: its build published nothing{outcome}"))
        }
    }
}

const EXAMPLE: &str = r#"{"app": "sha256:…"}"#;
const FROM: &str = "hand over the output digests of the job that built the images";

fn bad(why: impl std::fmt::Display) -> Error {
    Error::input(format!("input `digests`: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(digests: &str, image: Option<&str>) -> RawInputs {
        let text = |text: &str| Some(text.to_owned());
        let (digests, mode) = (text(digests), text("pull"));
        RawInputs { mode, digests, image: image.and_then(text), ..RawInputs::default() }
    }

    #[test]
    fn each_image_has_its_name_and_digest() {
        let (one, two) = (Digest::of(b"1").to_string(), Digest::of(b"2").to_string());
        let text = format!(r#"{{"shop-api": "{one}", "web": {{"outcome": "built", "digest": "{two}"}}}}"#);
        let names = |image: Option<&str>| -> Vec<(String, String)> {
            let each = each(&[raw(&text, image)]).unwrap().into_iter();
            each.map(|raw| (raw.image.unwrap(), raw.digest.unwrap())).collect()
        };
        let wanted =
            |api: &str, web: &str| vec![(api.to_owned(), one.clone()), (web.to_owned(), two.clone())];
        assert_eq!(names(None), wanted("shop-api", "web"));
        assert_eq!(names(Some("shop")), wanted("shop-api", "shop-web"));
        assert_eq!(names(Some("a")), wanted("a-shop-api", "a-web"));
    }

    #[test]
    fn targets_pick_some_of_the_images() {
        // What is not picked needs no digest.
        let text = format!(r#"{{"shop-api": "{}", "shop-web": ""}}"#, Digest::of(b"1"));
        let names = |image: Option<&str>, targets: &str| {
            let raw = RawInputs { targets: Some(targets.to_owned()), ..raw(&text, image) };
            let each = each(&[raw]).map_err(|error| error.to_string())?.into_iter();
            Ok::<_, String>(each.filter_map(|raw| raw.image).collect::<Vec<_>>())
        };
        assert_eq!(names(Some("shop"), "api").unwrap(), ["shop-api"]);
        assert_eq!(names(None, "shop-api").unwrap(), ["shop-api"]);
        assert!(names(None, "default").unwrap_err().contains("`shop-web` has no digest"));
        let unknown = names(Some("shop"), "api,docs").unwrap_err();
        assert_eq!(unknown, "input `targets`: `docs` is not in digests, which has shop-api, shop-web");
    }

    #[test]
    fn what_is_no_image_is_named() {
        for (text, said) in [
            ("app=sha256:1", "is no JSON (expected value"),
            ("[]", "is no JSON object"),
            ("{}", "names no image"),
            (r#"{"app": "sha256:1", "web": ""}"#, "`app`: `sha256:1` is not a digest"),
            (r#"{"app": "sha256:1", "web": ""}"#, "`web` has no digest: its build published nothing"),
            (r#"{"web": {"outcome": "built-local"}}"#, "published nothing (outcome built-local)"),
            (r#"{"web": 1}"#, "`web` has no digest"),
        ] {
            let error = each(&[raw(text, None)]).map(drop).unwrap_err().to_string();
            assert!(error.contains("input `digests`: ") && error.contains(said), "{said}: {error}");
        }
        let both = RawInputs { digest: Some("x".into()), ..raw("{}", None) };
        assert!(
            each(&[both]).map(drop).unwrap_err().to_string().contains("does not go with the input digest")
        );
        let many: Vec<String> =
            (0..=PULLED).map(|at| format!("\"i{at}\": \"{}\"", Digest::of(b"1"))).collect();
        let error = each(&[raw(&format!("{{{}}}", many.join(",")), None)]).map(drop).unwrap_err();
        assert!(error.to_string().contains("images"), "{error}");
    }
}
