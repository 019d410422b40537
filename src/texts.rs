//! Macros for types that are a text outside of the program.

/// An enum with one text for each variant: the enum, the function that gives the text, and, where it is asked for, the
/// list of all variants.
macro_rules! words {
    (
        $(#[$about:meta])* $vis:vis enum $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }
        $(#[$says:meta])* $fn_vis:vis const fn $text_of:ident;
    ) => {
        $(#[$about])*
        $vis enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $name {
            $(#[$says])*
            #[must_use]
            $fn_vis const fn $text_of(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
    (
        $(#[$about:meta])* $vis:vis enum $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }
        $(#[$says:meta])* $fn_vis:vis const fn $text_of:ident;
        const $all:ident;
    ) => {
        $crate::texts::words! {
            $(#[$about])* $vis enum $name { $($(#[$doc])* $variant = $text,)+ }
            $(#[$says])* $fn_vis const fn $text_of;
        }

        impl $name {
            const $all: [Self; [$($text),+].len()] = [$(Self::$variant),+];
        }
    };
}

/// Writes a type as its text, in JSON too.
macro_rules! to_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }
    };
}

/// The same, and reads it from that text.
macro_rules! as_text {
    ($type:ty) => {
        $crate::texts::to_text!($type);

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
                let text: String = serde::Deserialize::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use {as_text, to_text, words};
