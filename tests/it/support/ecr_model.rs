//! AWS's service model of ECR (`tests/fixtures/ecr-service-model.json`): checks the shape of requests and answers.

use serde_json::Value;

/// The model.
pub(crate) struct Model(Value);

impl Default for Model {
    fn default() -> Self {
        Self(serde_json::from_str(include_str!("../../fixtures/ecr-service-model.json")).unwrap())
    }
}

impl Model {
    /// The operation that a header names.
    pub(crate) fn operation<'a>(&self, target: &'a str) -> Option<&'a str> {
        let prefix = self.0["targetPrefix"].as_str().unwrap();
        target.strip_prefix(prefix)?.strip_prefix('.')
    }

    /// Why a request is none that AWS takes.
    pub(crate) fn check_input(&self, operation: &str, body: &Value) -> Result<(), String> {
        self.check_side(operation, "input", body)
    }

    /// Why an answer is none that AWS gives.
    pub(crate) fn check_output(&self, operation: &str, body: &Value) -> Result<(), String> {
        self.check_side(operation, "output", body)
    }

    /// Tells whether the operation may fail so; access and throttling are every operation's.
    pub(crate) fn may_fail(&self, operation: &str, code: &str) -> bool {
        let every = ["AccessDeniedException", "ThrottlingException"];
        let errors = self.0["operations"][operation]["errors"].as_array().unwrap();
        every.contains(&code) || errors.iter().any(|error| error == code)
    }

    fn check_side(&self, operation: &str, side: &str, body: &Value) -> Result<(), String> {
        let shape = self.0["operations"][operation][side].as_str();
        let shape = shape.ok_or(format!("{operation} is not in the model"))?;
        self.check(shape, body).map_err(|why| format!("{operation}{why}"))
    }

    fn check(&self, name: &str, value: &Value) -> Result<(), String> {
        let shape = &self.0["shapes"][name];
        let within = |length: u64| {
            let (min, max) = (shape["min"].as_u64().unwrap_or(0), shape["max"].as_u64().unwrap_or(u64::MAX));
            if (min..=max).contains(&length) {
                Ok(())
            } else {
                Err(format!(": {length} is not within {min} and {max} ({name})"))
            }
        };
        match shape["type"].as_str().unwrap() {
            "structure" => {
                let object = value.as_object().ok_or(format!(": not an object ({name})"))?;
                for required in shape["required"].as_array().into_iter().flatten() {
                    if !object.contains_key(required.as_str().unwrap()) {
                        return Err(format!(": without {required} ({name})"));
                    }
                }
                for (member, value) in object {
                    let of = shape["members"][member].as_str();
                    let of = of.ok_or(format!(": no member {member} ({name})"))?;
                    self.check(of, value).map_err(|why| format!(".{member}{why}"))?;
                }
                Ok(())
            }
            "list" => {
                let list = value.as_array().ok_or(format!(": not a list ({name})"))?;
                within(list.len() as u64)?;
                let of = shape["member"].as_str().unwrap();
                list.iter()
                    .enumerate()
                    .try_for_each(|(at, item)| self.check(of, item).map_err(|why| format!("[{at}]{why}")))
            }
            "string" => {
                let text = value.as_str().ok_or(format!(": not text ({name})"))?;
                within(text.chars().count() as u64)?;
                if let Some(words) = shape["enum"].as_array()
                    && !words.iter().any(|word| word == text)
                {
                    return Err(format!(": `{text}` is not one of {words:?} ({name})"));
                }
                let pattern = shape["pattern"].as_str().map(|pattern| format!("^(?:{pattern})$"));
                if let Some(pattern) = pattern
                    && !regex_lite::Regex::new(&pattern).unwrap().is_match(text)
                {
                    return Err(format!(": `{text}` does not match {pattern} ({name})"));
                }
                Ok(())
            }
            "integer" | "long" => within(value.as_u64().ok_or(format!(": not a number ({name})"))?),
            "boolean" => value.as_bool().map(drop).ok_or(format!(": not a boolean ({name})")),
            "timestamp" => value.as_f64().map(drop).ok_or(format!(": not a time ({name})")),
            other => Err(format!(": the type {other} is not checked ({name})")),
        }
    }
}

#[test]
fn a_request_of_the_wrong_shape_is_found() {
    use serde_json::json;
    let model = Model::default();
    let refused = |operation: &str, body: Value| model.check_input(operation, &body).unwrap_err();
    for (operation, body, expected) in [
        ("CreateRepository", json!({}), "CreateRepository: without \"repositoryName\""),
        ("CreateRepository", json!({"repositoryName": "A"}), "1 is not within 2 and 256"),
        ("CreateRepository", json!({"repositoryName": "Abc"}), "does not match"),
        ("CreateRepository", json!({"repositoryName": "ab", "x": 1}), "no member x"),
        ("CreateRepository", json!({"repositoryName": "ab", "imageTagMutability": "NO"}), "is not one of"),
        (
            "CreateRepository",
            json!({"repositoryName": "ab", "imageTagMutabilityExclusionFilters": []}),
            "0 is not within 1 and 5",
        ),
        (
            "PutLifecyclePolicy",
            json!({"repositoryName": "ab", "lifecyclePolicyText": "{}"}),
            "2 is not within 100 and 30720",
        ),
        (
            "GetLifecyclePolicyPreview",
            json!({"repositoryName": "ab", "maxResults": 1000}),
            "1000 is not within 1 and 100",
        ),
        ("DescribeRepositories", json!({"registryId": "1"}), "does not match"),
        ("Delete", json!({}), "is not in the model"),
    ] {
        let why = refused(operation, body);
        assert!(why.contains(expected), "{why}");
    }
    assert_eq!(
        model.check_input(
            "DescribeRepositories",
            &json!({"registryId": "123456789012", "repositoryNames": ["ci"]})
        ),
        Ok(())
    );
}
