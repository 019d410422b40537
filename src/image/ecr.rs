//! Recognises the hosts of Amazon ECR, such as `123456789012.dkr.ecr.us-east-1.amazonaws.com`: for them the program gets
//! tokens from AWS.

/// An ECR registry, read off its host name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EcrHost {
    /// The region of its API; the public registry has its API in `us-east-1` alone.
    pub region: String,
    /// The host is the FIPS endpoint.
    pub fips: bool,
    /// The host is the dual-stack endpoint.
    pub dual_stack: bool,
    /// The host is that of `public.ecr.aws`.
    pub public: bool,
}

/// Domains of private registries in every partition
/// (amazon-ecr-credential-helper, `ecr-login/api/client.go`).
const PRIVATE_DOMAINS: [&str; 8] = [
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "c2s.ic.gov",
    "sc2s.sgov.gov",
    "cloud.adc-e.uk",
    "csp.hci.ic.gov",
    "amazonaws-us-gov.com",
];
/// Domains of the dual-stack endpoints of private registries (IPv4 and IPv6).
const DUAL_STACK_DOMAINS: [&str; 2] = ["on.aws", "on.amazonwebservices.com.cn"];

impl EcrHost {
    /// Parses a host; `None` if it is not ECR's.
    #[must_use]
    pub fn parse(host: &str) -> Option<Self> {
        if host == "public.ecr.aws" || host == "ecr-public.aws.com" {
            return Some(Self {
                region: "us-east-1".to_owned(),
                fips: false,
                dual_stack: false,
                public: true,
            });
        }
        let (account, rest) = host.split_once('.')?;
        if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let (service, rest, dual_stack) = if let Some(rest) = rest.strip_prefix("dkr.") {
            let (service, rest) = rest.split_once('.')?;
            (service.strip_prefix("ecr")?, rest, false)
        } else {
            let (service, rest) = rest.split_once('.')?;
            (service.strip_prefix("dkr-ecr")?, rest, true)
        };
        let fips = match service {
            "" => false,
            "-fips" => true,
            _ => return None,
        };
        let (region, domain) = rest.split_once('.')?;
        let domains: &[&str] = if dual_stack { &DUAL_STACK_DOMAINS } else { &PRIVATE_DOMAINS };
        let known = domains.contains(&domain) && !region.is_empty();
        known.then(|| Self { region: region.to_owned(), fips, dual_stack, public: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_every_partition() {
        let rows = [
            ("123456789012.dkr.ecr.us-east-1.amazonaws.com", "us-east-1", false, false),
            ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1", false, false),
            ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1", true, false),
            ("123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1", false, false),
            ("123456789012.dkr-ecr.eu-west-1.on.aws", "eu-west-1", false, true),
            ("123456789012.dkr-ecr-fips.us-east-2.on.aws", "us-east-2", true, true),
            ("123456789012.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn", "cn-north-1", false, true),
            ("123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov", "us-iso-east-1", false, false),
        ];
        for (host, region, fips, dual_stack) in rows {
            let expected = EcrHost { region: region.into(), fips, dual_stack, public: false };
            assert_eq!(EcrHost::parse(host), Some(expected), "{host}");
        }
        assert!(EcrHost::parse("public.ecr.aws").unwrap().public);
    }

    #[test]
    fn other_hosts_are_not_ecr() {
        for host in [
            "ghcr.io",
            "localhost:5000",
            "12345.dkr.ecr.us-east-1.amazonaws.com",
            "123456789012.dkr.ecr.us-east-1.amazonaws.com.evil.example",
            "123456789012.dkr.ecr.us-east-1.example.com",
            "123456789012.dkr.ecrx.us-east-1.amazonaws.com",
            "x123456789012.dkr.ecr.us-east-1.amazonaws.com",
        ] {
            assert_eq!(EcrHost::parse(host), None, "{host}");
        }
    }
}
