//! The folders of `src` stand in an order, and a file imports only what stands above its folder; no files import each
//! other in a circle. A folder's `mod.rs` may import what is in the folder: it is its table of contents.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// From the ground up.
const ORDER: [&str; 36] = [
    "backoff",
    "budget",
    "guards",
    "texts",
    "secret_name",
    "secret",
    "env",
    "shown",
    "phase",
    "failure",
    "error",
    "zone",
    "crash",
    "image",
    "ecr",
    "run",
    "key",
    "coherence",
    "inputs",
    "trust",
    "prune",
    "buildkit",
    "ports",
    "facts",
    "plan",
    "execute",
    "report",
    "doctor",
    "saved",
    "pipeline",
    "commands",
    "session",
    "cli",
    "lib",
    "main",
    "",
];

/// A module's path: `["plan", "caches"]`.
type Module = Vec<String>;

struct Source {
    path: String,
    module: Module,
    is_folder: bool,
    /// Every path after `use`, and every other one that begins at `crate` or `super`, with its line.
    paths: Vec<(usize, Module)>,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![root.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|end| end == "rs") && !entry.ends_with("tests.rs") {
                let path = entry.strip_prefix(root).unwrap().display().to_string();
                found.push(source(path, &std::fs::read_to_string(&entry).unwrap()));
            }
        }
    }
    found
}

fn source(path: String, text: &str) -> Source {
    let mut module: Module =
        path["src/".len()..path.len() - ".rs".len()].split('/').map(str::to_owned).collect();
    let is_folder = module.last().is_some_and(|last| last == "mod");
    if is_folder {
        module.pop();
    }
    // A file's tests may import what they like.
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
    let mut paths = Vec::new();
    let mut list: Option<(usize, String)> = None;
    for (at, line) in code.lines().enumerate().map(|(at, line)| (at + 1, line.trim())) {
        if line.starts_with("//") {
            continue;
        }
        let opened =
            line.split_once("use ").filter(|(before, _)| before.is_empty() || before.starts_with("pub"));
        match (&mut list, opened) {
            (Some((_, text)), _) => text.push_str(line),
            (None, Some((_, tree))) => list = Some((at, tree.to_owned())),
            (None, None) => paths.extend(inline(line).into_iter().map(|path| (at, path))),
        }
        if let Some((at, tree)) = list.take_if(|(_, tree)| tree.ends_with(';')) {
            paths.extend(leaves(tree.trim_end_matches(';')).into_iter().map(|path| (at, path)));
        }
    }
    Source { path, module, is_folder, paths }
}

/// `crate::a::b` and `super::c` inside code.
fn inline(line: &str) -> Vec<Module> {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':');
    let words =
        line.split(|c| !is_part(c)).filter(|word| word.starts_with("crate::") || word.starts_with("super::"));
    words.map(parts).collect()
}

fn parts(path: &str) -> Module {
    let name = path.split(" as ").next().unwrap_or_default();
    name.split("::").map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// The paths of `a::{b, c::{d, e}}`.
fn leaves(tree: &str) -> Vec<Module> {
    let Some((start, list)) = tree.split_once('{') else { return vec![parts(tree)] };
    let list = list.trim_end().trim_end_matches('}').to_owned() + &"}".repeat(list.matches('{').count());
    let (mut found, mut depth, mut item) = (Vec::new(), 0_usize, String::new());
    for c in list.chars().chain([',']) {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if c == ',' && depth == 0 {
            found.extend(leaves(item.trim()).into_iter().map(|leaf| [parts(start), leaf].concat()));
            item.clear();
        } else {
            item.push(c);
        }
    }
    found.retain(|leaf| !leaf.is_empty());
    found
}

/// Which file each path of a file means: the deepest that it names, by way of what `mod.rs` exports.
struct Map<'a> {
    modules: BTreeMap<Module, &'a Source>,
    exports: BTreeMap<(Module, String), Module>,
}

impl<'a> Map<'a> {
    fn new(sources: &'a [Source]) -> Self {
        let modules = sources.iter().map(|source| (source.module.clone(), source)).collect();
        let mut map = Self { modules, exports: BTreeMap::new() };
        for folder in sources.iter().filter(|source| source.is_folder) {
            for (_, path) in &folder.paths {
                let inside = [folder.module.clone(), path.clone()].concat();
                if let (Some((file, _)), Some(name)) = (map.deepest(&inside), path.last())
                    && *file.module != folder.module
                {
                    map.exports.insert((folder.module.clone(), name.clone()), file.module.clone());
                }
            }
        }
        map
    }

    fn deepest(&self, path: &[String]) -> Option<(&'a Source, usize)> {
        (1..=path.len()).rev().find_map(|end| self.modules.get(&path[..end]).map(|file| (*file, end)))
    }

    fn meant(&self, from: &Source, path: &[String]) -> Option<&'a Source> {
        let mut whole = match path.first().map(String::as_str)? {
            "crate" => path[1..].to_vec(),
            "super" => {
                let ups = path.iter().take_while(|part| *part == "super").count();
                let base = from.module.len().saturating_sub(ups);
                [&from.module[..base], &path[ups..]].concat()
            }
            _ => [&from.module[..], path].concat(),
        };
        loop {
            let (file, end) = self.deepest(&whole)?;
            let name = whole.get(end);
            match name.and_then(|name| self.exports.get(&(file.module.clone(), name.clone()))) {
                Some(to) if *to != from.module => whole = [to.clone(), whole[end..].to_vec()].concat(),
                Some(_) => return None,
                None => return Some(file),
            }
        }
    }
}

fn height(source: &Source) -> usize {
    let name = source.module.first().unwrap();
    ORDER.iter().position(|known| known == name).unwrap_or_else(|| panic!("{name} has no place in the order"))
}

#[test]
fn imports_run_one_way() {
    let sources = sources();
    let map = Map::new(&sources);
    let mut up = Vec::new();
    let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for source in &sources {
        for (line, path) in &source.paths {
            let Some(meant) = map.meant(source, path).filter(|meant| meant.path != source.path) else {
                continue;
            };
            if height(meant) > height(source) {
                up.push(format!("{}:{line} imports {}", source.path, path.join("::")));
            }
            let owns = source.is_folder || !source.module.is_empty();
            if !(owns && meant.module.starts_with(&source.module)) {
                edges.entry(&source.path).or_default().insert(&meant.path);
            }
        }
    }
    assert!(up.is_empty(), "imports that run up:\n{}", up.join("\n"));
    assert!(sources.len() > 100 && edges.len() > 100, "the files were not read");
    assert_eq!(circle(&edges), None, "files that import each other");
}

/// Files in a circle, if there is one: what is left when files that import none that is left are taken away.
fn circle(edges: &BTreeMap<&str, BTreeSet<&str>>) -> Option<BTreeSet<String>> {
    let mut left: BTreeSet<&str> = edges.keys().copied().collect();
    loop {
        let is_free = |file: &&str| !edges[*file].iter().any(|other| left.contains(other));
        let free: Vec<&str> = left.iter().copied().filter(is_free).collect();
        if free.is_empty() {
            break;
        }
        left.retain(|file| !free.contains(file));
    }
    // The same from the other side.
    loop {
        let is_wanted = |file: &&str| left.iter().any(|other| edges[*other].contains(file));
        let free: Vec<&str> = left.iter().copied().filter(|file| !is_wanted(file)).collect();
        if free.is_empty() {
            break;
        }
        left.retain(|file| !free.contains(file));
    }
    (!left.is_empty()).then(|| left.into_iter().map(str::to_owned).collect())
}

#[test]
fn the_reader_of_imports_sees_what_is_there() {
    let text = "use crate::a::{b, c::{D, E}};\npub use super::{F, g};\n// use crate::no;\nfn f() { crate::h::i() }\n\
                #[cfg(test)]\nmod tests { use crate::none; }\n";
    let read = source("src/x/y.rs".to_owned(), text);
    let shown: Vec<String> =
        read.paths.iter().map(|(line, path)| format!("{line} {}", path.join("::"))).collect();
    assert_eq!(
        shown,
        [
            "1 crate::a::b",
            "1 crate::a::c::D",
            "1 crate::a::c::E",
            "2 super::F",
            "2 super::g",
            "4 crate::h::i"
        ]
    );
    let edges = BTreeMap::from([
        ("a", BTreeSet::from(["b"])),
        ("b", BTreeSet::from(["c"])),
        ("c", BTreeSet::from(["b"])),
    ]);
    assert_eq!(circle(&edges), Some(BTreeSet::from(["b".to_owned(), "c".to_owned()])));
}
