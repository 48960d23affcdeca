//! Renders a value as an SVG badge or as a shields.io endpoint.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use badge_maker_rs::{BadgeOptions, Color, Style, make_badge};
use bytes::Bytes;
use serde::Serialize;

use crate::values::value::{State, Value};

/// The default label.
const LABEL: &str = "coverage";
/// The maximum length of a label in characters.
const MAX_LABEL: usize = 64;

/// The maximum number of cached badges: about 2 MB.
const MAX_RENDERED: usize = 1000;

/// The colours of the Python original's badges.
const GREEN: &str = "#34D058";
const RED: &str = "#CB2431";
const GREY: &str = "#9F9F9F";

/// The first one is the default, also for unknown names.
const STYLES: [(&str, Style); 5] = [
    ("flat", Style::Flat),
    ("flat-square", Style::FlatSquare),
    ("plastic", Style::Plastic),
    ("for-the-badge", Style::ForTheBadge),
    ("social", Style::Social),
];

/// The label and the style of a badge.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Appearance {
    /// `None`: [`LABEL`].
    label: Option<Box<str>>,
    /// One of [`STYLES`].
    style: usize,
}

impl Appearance {
    /// From the query's `label` and `style`; an unknown style means flat.
    pub fn new(label: Option<&str>, style: Option<&str>) -> Self {
        let fits = |label: &str| label.chars().filter(|c| is_xml(*c)).take(MAX_LABEL).collect::<String>();
        // Some styles render an empty box for a blank label.
        let label = label.map(fits).filter(|label| !label.trim().is_empty()).map(Into::into);
        let style = STYLES.iter().position(|(name, _)| Some(*name) == style).unwrap_or_default();
        Self { label, style }
    }

    fn label(&self) -> &str {
        self.label.as_deref().unwrap_or(LABEL)
    }
}

/// Whether XML allows the character. Control characters are excluded too.
fn is_xml(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}')
}

/// The content of a badge. There are few different ones, so badges can be cached.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct BadgeContent {
    percent: Percent,
    state: Option<State>,
}

/// A percentage, rounded down. 100 means exactly 100, and 0 exactly 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Percent {
    Unknown,
    BelowOne,
    Whole(u8),
}

impl BadgeContent {
    fn of(value: Option<&Value>) -> Self {
        let percent = match value.and_then(|value| value.percent) {
            None => Percent::Unknown,
            Some(percent) if percent > 0.0 && percent < 1.0 => Percent::BelowOne,
            Some(percent) => Percent::Whole(percent.floor() as u8),
        };
        Self { percent, state: value.map(|value| value.state) }
    }

    fn message(self) -> String {
        match self.percent {
            Percent::Unknown => "??".to_owned(),
            Percent::BelowOne => "<1%".to_owned(),
            Percent::Whole(percent) => format!("{percent}%"),
        }
    }

    fn color(self) -> &'static str {
        match (self.percent, self.state) {
            (Percent::Unknown, _) | (_, None) => GREY,
            (_, Some(State::Success)) => GREEN,
            (_, Some(State::Failure)) => RED,
        }
    }
}

/// The cache of rendered badges. With so few entries, comparing is faster than hashing.
#[derive(Default)]
pub struct Badges {
    rendered: RwLock<BTreeMap<(Appearance, BadgeContent), Bytes>>,
}

impl Badges {
    /// The badge as an SVG image, with a title such as `coverage: 87%`.
    pub fn svg(&self, value: Option<&Value>, appearance: Appearance) -> Result<Bytes, badge_maker_rs::Error> {
        let badge = (appearance, BadgeContent::of(value));
        if let Some(svg) = self.rendered.read().unwrap_or_else(PoisonError::into_inner).get(&badge) {
            return Ok(svg.clone());
        }
        let svg = Bytes::from(render(&badge.0, badge.1)?);
        let mut rendered = self.rendered.write().unwrap_or_else(PoisonError::into_inner);
        // Anybody can choose labels: a flood of new ones only empties the cache.
        if rendered.len() >= MAX_RENDERED {
            rendered.clear();
        }
        rendered.insert(badge, svg.clone());
        Ok(svg)
    }
}

/// Renders a badge without the cache.
pub fn svg(value: Option<&Value>, appearance: &Appearance) -> Result<String, badge_maker_rs::Error> {
    render(appearance, BadgeContent::of(value))
}

fn render(appearance: &Appearance, content: BadgeContent) -> Result<String, badge_maker_rs::Error> {
    let options = BadgeOptions::new(content.message())
        .label(appearance.label())
        .style(STYLES.get(appearance.style).map_or(Style::Flat, |(_, style)| *style))
        .color(Color::literal(content.color()))
        .build();
    make_badge(&options)
}

/// The response for shields.io's endpoint badge: <https://shields.io/badges/endpoint-badge>.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint<'a> {
    schema_version: u8,
    label: &'a str,
    message: String,
    color: &'static str,
    /// Not one of shields.io's fields: the exact number, for programs.
    percent: Option<f64>,
}

/// The value as a shields.io endpoint.
pub fn endpoint<'a>(value: Option<&Value>, appearance: &'a Appearance) -> Endpoint<'a> {
    let content = BadgeContent::of(value);
    Endpoint {
        schema_version: 1,
        label: appearance.label(),
        message: content.message(),
        color: content.color(),
        percent: value.and_then(|value| value.percent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(percent: Option<f64>, state: State) -> Value {
        Value {
            percent,
            state,
            site_id: None,
            commit_sha: String::new(),
            seen_at: jiff::Timestamp::UNIX_EPOCH,
            run_id: None,
            issuer: None,
        }
    }

    fn message(value: Option<&Value>) -> String {
        BadgeContent::of(value).message()
    }

    #[test]
    fn badge_percentages_are_rounded_down() {
        for (percent, text) in
            [(100.0, "100%"), (99.996, "99%"), (87.42, "87%"), (0.4, "<1%"), (1.0, "1%"), (0.0, "0%")]
        {
            assert_eq!(message(Some(&value(Some(percent), State::Success))), text);
        }
        assert_eq!(message(Some(&value(None, State::Success))), "??");
        assert_eq!(message(None), "??");
    }

    #[test]
    fn badge_colours_follow_the_state() {
        let svg = |value: Option<&Value>| svg(value, &Appearance::new(None, None)).unwrap().to_lowercase();
        assert!(svg(Some(&value(Some(87.0), State::Success))).contains("#34d058"));
        assert!(svg(Some(&value(Some(87.0), State::Failure))).contains("#cb2431"));
        assert!(svg(Some(&value(None, State::Success))).contains("#9f9f9f"));
        assert!(svg(None).contains("#9f9f9f"));
    }

    #[test]
    fn the_svg_title_contains_the_badge_text() {
        let svg = svg(Some(&value(Some(87.42), State::Success)), &Appearance::new(None, None)).unwrap();
        assert!(svg.contains("<title>coverage: 87%</title>") && svg.contains("aria-label=\"coverage: 87%\""), "{svg}");
    }

    #[test]
    fn labels_are_escaped_and_truncated_in_every_style() {
        let hostile = "\"/><script>alert(1)</script>&\u{1}\u{fffe}".to_owned() + &"x".repeat(500);
        for style in ["flat", "flat-square", "plastic", "for-the-badge", "social", "none such"] {
            let svg = svg(None, &Appearance::new(Some(&hostile), Some(style))).unwrap();
            assert!(!svg.to_lowercase().contains("<script") && svg.len() < 8000, "{svg}");
            assert!(!svg.contains(['\u{1}', '\u{fffe}']), "{svg}");
        }
        for empty in ["", " ", "\u{1}"] {
            let svg = svg(None, &Appearance::new(Some(empty), Some("social"))).unwrap();
            assert!(svg.contains(">Coverage<"), "{empty:?}: {svg}");
        }
    }
}
