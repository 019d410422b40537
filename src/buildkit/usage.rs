//! What takes the engine's disk: the table of `docker system df`, from the CLI's rows or from the engine's own answer.

use serde_json::Value;

/// A row of `docker system df`: what takes the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Images, containers, volumes or build cache.
    pub kind: String,
    /// How many there are, how much they take, and how much of that could be freed, as docker words it.
    pub count: String,
    pub size: String,
    pub reclaimable: String,
}

impl Usage {
    /// Reads a row of the CLI; `None` if it is none.
    #[must_use]
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let row: Value = serde_json::from_str(line).ok()?;
        let text = |name: &str| row[name].as_str().map(str::to_owned);
        let (kind, count) = (text("Type")?, text("TotalCount")?);
        Some(Self { kind, count, size: text("Size")?, reclaimable: text("Reclaimable")? })
    }

    /// Makes the table of the engine's own answer (`/system/df`), with the CLI's sums and words (docker/cli,
    /// `formatter/disk_usage.go` and `system/df.go`). `None` if a list is missing.
    #[must_use]
    pub(crate) fn read_all(answer: &Value) -> Option<Vec<Self>> {
        // An engine writes `null` for a list without elements.
        let list = |name: &str| match answer.get(name)? {
            Value::Array(list) => Some(list.as_slice()),
            Value::Null => Some(&[][..]),
            _ => None,
        };
        // -1 stands for an unknown size.
        let known = |value: &Value| value.as_i64().filter(|size| *size >= 0);

        let images = list("Images")?;
        let all = known(&answer["LayersSize"])?;
        let used = images.iter().filter(|image| image["Containers"].as_i64().is_some_and(|count| count != 0));
        let used: i64 =
            used.filter_map(|image| Some(known(&image["Size"])? - known(&image["SharedSize"])?)).sum();
        let mut rows = vec![Self::row("Images", images.len(), all, all - used, true)];

        let containers = list("Containers")?;
        let size = |container: &Value| container["SizeRw"].as_i64().unwrap_or_default();
        let runs = |container: &Value| {
            let state = container["State"].as_str().unwrap_or_default();
            ["running", "paused", "restarting"].iter().any(|active| state.contains(active))
        };
        let all = containers.iter().map(size).sum();
        let free = containers.iter().filter(|container| !runs(container)).map(size).sum();
        rows.push(Self::row("Containers", containers.len(), all, free, true));

        let volumes = list("Volumes")?;
        let size = |volume: &Value| known(&volume["UsageData"]["Size"]).unwrap_or_default();
        let all = volumes.iter().map(size).sum();
        let free = volumes.iter().filter(|volume| volume["UsageData"]["RefCount"] == 0).map(size).sum();
        rows.push(Self::row("Local Volumes", volumes.len(), all, free, true));

        let cache = list("BuildCache")?;
        let size = |record: &&Value| record["Size"].as_i64().unwrap_or_default();
        // Shared records are images' layers.
        let own = || cache.iter().filter(|record| record["Shared"] != true);
        let all = own().map(|record| size(&record)).sum();
        let free = own().filter(|record| record["InUse"] != true).map(|record| size(&record)).sum();
        rows.push(Self::row("Build Cache", cache.len(), all, free, false));
        Some(rows)
    }

    fn row(kind: &str, count: usize, size: i64, reclaimable: i64, with_percent: bool) -> Self {
        let text = match reclaimable.saturating_mul(100).checked_div(size).filter(|_| with_percent) {
            Some(percent) => format!("{} ({percent}%)", decimal(reclaimable)),
            None => decimal(reclaimable),
        };
        Self { kind: kind.to_owned(), count: count.to_string(), size: decimal(size), reclaimable: text }
    }
}

/// A size as docker words it (docker/go-units, `HumanSize`): four digits, and units of 1000.
fn decimal(bytes: i64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    #[expect(clippy::cast_precision_loss, reason = "four digits are shown")]
    let (mut size, mut unit) = (bytes as f64, 0);
    while size >= 1000.0 && unit + 1 < UNITS.len() {
        (size, unit) = (size / 1000.0, unit + 1);
    }
    // Go's `%.4g` of a number below 1000.
    let whole = if size.abs() >= 100.0 {
        1
    } else if size.abs() >= 10.0 {
        2
    } else {
        3
    };
    let text = format!("{size:.whole$}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text}{}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sizes_are_worded_as_docker_does() {
        // What `docker system df` printed for these.
        for (bytes, text) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1kB"),
            (196_608, "196.6kB"),
            (491_714, "491.7kB"),
            (163_623_120, "163.6MB"),
            (416_552_037, "416.6MB"),
            (739_575_232, "739.6MB"),
            (1_005_000_000, "1.005GB"),
            (10_000_000, "10MB"),
            (100_000_000, "100MB"),
            (12_345_678_901, "12.35GB"),
            (999_999, "1000kB"),
            (99_999, "100kB"),
            (9_999, "9.999kB"),
            (99_996, "100kB"),
        ] {
            assert_eq!(decimal(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn the_engines_answer_makes_the_table_of_the_cli() {
        let answer = json!({
            "LayersSize": 739_575_232,
            "Images": [
                {"Containers": 0, "Size": 83_968_748, "SharedSize": 2_023_424},
                {"Containers": 2, "Size": 323_023_195, "SharedSize": 0},
                {"Containers": -1, "Size": 5, "SharedSize": -1},
            ],
            "Containers": [{"SizeRw": 98_304, "State": "running"}, {"SizeRw": 1696, "State": "exited"}, {"State": "created"}],
            "Volumes": [{"UsageData": {"RefCount": 1, "Size": 245_857}}, {"UsageData": {"RefCount": 0, "Size": -1}}],
            "BuildCache": [
                {"InUse": false, "Shared": true, "Size": 323_021_824},
                {"InUse": true, "Shared": false, "Size": 4096},
                {"InUse": false, "Shared": false, "Size": 161_566_720},
            ],
        });
        let rows = Usage::read_all(&answer).unwrap();
        let words: Vec<String> = rows
            .iter()
            .map(|row| format!("{} {} {} {}", row.kind, row.count, row.size, row.reclaimable))
            .collect();
        assert_eq!(
            words,
            [
                "Images 3 739.6MB 416.6MB (56%)",
                "Containers 3 100kB 1.696kB (1%)",
                "Local Volumes 2 245.9kB 0B (0%)",
                "Build Cache 3 161.6MB 161.6MB",
            ]
        );
        let empty =
            json!({"LayersSize": 0, "Images": [], "Containers": [], "Volumes": null, "BuildCache": null});
        let rows = Usage::read_all(&empty).unwrap();
        assert!(rows.iter().all(|row| row.size == "0B" && row.reclaimable == "0B"), "{rows:?}");
        for wrong in [json!({}), json!([]), json!({"LayersSize": 1, "Images": 7})] {
            assert_eq!(Usage::read_all(&wrong), None, "{wrong}");
        }
    }
}
