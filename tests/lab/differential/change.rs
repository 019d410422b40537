//! One change of a case: what the second of a pair has different.

mod apply;

use super::case::Case;
use super::dice::Dice;

/// The place of an instruction: stage, number in it.
type Place = (usize, usize);

/// What is done. Applied to a case that was made smaller it may not apply any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Another folder, another clone: nothing else.
    Clone,
    /// Other bytes, as many.
    Content(String),
    /// More bytes.
    Length(String),
    Executable(String),
    AddFile(String),
    RemoveFile(String),
    RenameFile(String),
    LinkTarget(String),
    IgnoreAdd(String),
    IgnoreRemove(usize),
    IgnoreComment,
    KeywordCase,
    BlankLines,
    Indent,
    Comment,
    /// Another file holds the Dockerfile.
    DockerfilePath,
    GlobalDefault(usize),
    ArgDefault(Place),
    RemoveInstruction(Place),
    SwapInstructions(Place),
    AddEnv(usize),
    PairValue(Place),
    /// A stage that nobody reaches, before the last one.
    AddStage,
    /// An instruction in a stage, reached or not.
    AddCopy(usize),
    JsonForm(Place),
    HereDelimiter(Place),
    HereLine(Place),
    HereQuotes(Place),
    Flag(Place),
    Destination(Place),
    /// `--from=name` becomes `--from=number`.
    FromNumber(Place),
    RunText(Place),
    BuildArg(&'static str),
    BuildArgNotDeclared,
    BuildArgTwice,
    LabelAdd,
    LabelOrder,
    TargetNamed,
    TargetCase,
    TargetOther,
    PlatformNamed,
    PlatformOther,
    HostAdd,
    HostOrder,
    NetworkNamed,
    SecretAdd,
    SecretValue,
    ContextUnused,
    ContextContent(usize),
    ContextImage(usize),
    Own(&'static str, &'static str),
    BaseSpelled(usize),
}

impl Change {
    /// Its kind, by which misses are counted.
    pub fn kind(&self) -> String {
        let text = format!("{self:?}");
        match self {
            Self::Own(name, _) => format!("Own({name})"),
            _ => text.split('(').next().unwrap().to_owned(),
        }
    }

    /// A change that applies to this case, and the case with it.
    pub fn any(dice: &mut Dice, case: &Case) -> (Self, Case) {
        loop {
            let change = Self::propose(dice, case);
            if let Some(changed) = change.apply(case) {
                return (change, changed);
            }
        }
    }

    fn propose(dice: &mut Dice, case: &Case) -> Self {
        let paths: Vec<String> = case.tree.0.keys().cloned().collect();
        let path = dice.of(&paths).clone();
        let stage = dice.below(case.dockerfile.stages.len());
        let place = (stage, dice.below(case.dockerfile.stages[stage].body.len().max(1)));
        let contexts = case.inputs.contexts.len().max(1);
        // Mostly files, as in the histories of real projects.
        match dice.below(80) {
            0 => Self::Clone,
            1..=6 | 59..=66 => Self::Content(path),
            7 | 67..=72 => Self::Length(path),
            8 => Self::Executable(path),
            9 | 73 | 74 => Self::AddFile(dice.text(&["new.txt", "src/new", "Z", ".env"])),
            11 => Self::RenameFile(path),
            12 => Self::LinkTarget(path),
            13 => Self::IgnoreAdd(path),
            14 => Self::IgnoreRemove(dice.below(6)),
            15 => Self::IgnoreComment,
            16 => Self::KeywordCase,
            17 => Self::BlankLines,
            18 => Self::Indent,
            19 => Self::Comment,
            20 => Self::DockerfilePath,
            21 => Self::GlobalDefault(dice.below(4)),
            22 | 78 => Self::ArgDefault(place),
            23 => Self::RemoveInstruction(place),
            24 => Self::SwapInstructions(place),
            25 => Self::AddEnv(stage),
            26 | 77 => Self::PairValue(place),
            27 => Self::AddStage,
            28 => Self::AddCopy(stage),
            29 => Self::JsonForm(place),
            30 => Self::HereDelimiter(place),
            31 => Self::HereLine(place),
            32 => Self::HereQuotes(place),
            33 => Self::Flag(place),
            34 => Self::Destination(place),
            35 => Self::FromNumber(place),
            36 | 75 | 76 => Self::RunText(place),
            37..=39 => Self::BuildArg(dice.of::<&str>(&["V", "NAME", "TAG", "FILE", "HTTP_PROXY"])),
            40 => Self::BuildArgNotDeclared,
            41 => Self::BuildArgTwice,
            42 => Self::LabelAdd,
            43 => Self::LabelOrder,
            44 => Self::TargetNamed,
            45 => Self::TargetCase,
            46 => Self::TargetOther,
            47 => Self::PlatformNamed,
            48 => Self::PlatformOther,
            49 => Self::HostAdd,
            50 => Self::HostOrder,
            51 => Self::NetworkNamed,
            52 => Self::SecretAdd,
            53 => Self::SecretValue,
            54 => Self::ContextUnused,
            55 => Self::ContextContent(dice.below(contexts)),
            56 => Self::ContextImage(dice.below(contexts)),
            57 => {
                let (name, value) = *dice.of(&[
                    ("no-cache", "true"),
                    ("pull", "true"),
                    ("annotations", "a.b=c"),
                    ("labels-file", ""),
                    ("shm-size", "64m"),
                    ("builder", "default"),
                ]);
                Self::Own(name, value)
            }
            58 => Self::BaseSpelled(stage),
            _ => Self::RemoveFile(path),
        }
    }
}
