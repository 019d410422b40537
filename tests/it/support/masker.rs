//! How the runner hides secrets: the oracle of what people can read. Written from actions/runner: `SecretMasker`
//! (every place of every form, joined where they overlap), the encoders that `HostContext` adds (`ValueEncoders`), and
//! `AddMaskCommandExtension` (a value, and each of its lines without the blanks around it).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::scanner::Command;

/// The masks of a job.
#[derive(Default)]
pub(crate) struct Masker {
    forms: Vec<String>,
}

impl Masker {
    /// What these commands make it hide.
    pub(crate) fn of(masks: &[&Command]) -> Self {
        let mut masker = Self::default();
        for mask in masks {
            assert!(!mask.message.trim().is_empty(), "the runner warns of an empty mask");
            masker.add(&mask.message);
            let lines = mask.message.split(['\r', '\n']).map(str::trim);
            lines.filter(|line| !line.is_empty()).for_each(|line| masker.add(line));
        }
        masker
    }

    fn add(&mut self, value: &str) {
        self.forms.push(value.to_owned());
        self.forms.extend(encoded(value).into_iter().filter(|form| !form.is_empty()));
    }

    /// The text as the runner shows it.
    pub(crate) fn mask(&self, text: &str) -> String {
        let mut hidden = vec![false; text.len()];
        for form in &self.forms {
            for (at, _) in text.char_indices().filter(|(at, _)| text[*at..].starts_with(form.as_str())) {
                hidden[at..at + form.len()].fill(true);
            }
        }
        let mut masked = String::new();
        for (at, c) in text.char_indices() {
            if !hidden[at] {
                masked.push(c);
            } else if at == 0 || !hidden[at - 1] {
                masked.push_str("***");
            }
        }
        masked
    }
}

/// `ValueEncoders`, in the order of `HostContext`.
pub(crate) fn encoded(value: &str) -> Vec<String> {
    let shifted = |by: usize| {
        let bytes = value.as_bytes();
        STANDARD.encode(if bytes.len() > by { &bytes[by..] } else { bytes })
    };
    let json = serde_json::Value::from(value).to_string();
    let uri = |b: u8| match b {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    };
    let xml = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let trimmed = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let ampersand = value.rfind('&').map(|at| value.split_at(at + 1));
    let (before, after) = ampersand.unwrap_or_default();
    let long = |text: &str| text.len() >= 6;
    vec![
        STANDARD.encode(value),
        shifted(1),
        shifted(2),
        value.replace('"', "\\\""),
        value.replace('\'', "''"),
        json[1..json.len() - 1].to_owned(),
        value.bytes().map(uri).collect(),
        xml.replace('"', "&quot;").replace('\'', "&apos;"),
        trimmed.filter(|_| value.len() > 8).unwrap_or_default().to_owned(),
        Some(before).filter(|text| long(text)).unwrap_or_default().to_owned(),
        Some(after).filter(|text| long(text)).unwrap_or_default().to_owned(),
    ]
}

#[test]
fn the_oracle_masks_as_the_runner_does() {
    let mask = |message: &str| Command {
        name: "add-mask".into(),
        properties: String::new(),
        message: message.to_owned(),
    };
    let (one, two) = (mask("p@ss\"w<rd"), mask("first\r\n  second \n"));
    let masker = Masker::of(&[&one, &two]);
    for (text, shown) in [
        ("a p@ss\"w<rd b", "a *** b"),
        ("p%40ss%22w%3Crd", "***"),
        ("p@ss&quot;w&lt;rd", "***"),
        ("p@ss\\\"w<rd", "***"),
        ("x first y second", "x *** y ***"),
        ("first\r\n  second \n", "***"),
        ("secon", "secon"),
    ] {
        assert_eq!(masker.mask(text), shown);
    }
    // With two bytes before it, the rest of a secret begins a group of base64.
    let basic = STANDARD.encode("u:p@ss\"w<rd");
    assert_ne!(masker.mask(&basic), basic);
}
