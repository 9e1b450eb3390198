//! Keeps secrets out of what is shown.
//!
//! A finding quotes the line it is about, and exported configuration has whatever people put into environment variables,
//! metadata and state files. Values that are or may be secret are overwritten in the text that findings quote; the
//! resources that an import makes never hold them, for a scenario has no field for them.

use crate::scenario::diagnostic::{FileId, Place, Sources};
use crate::scenario::tree::{Node, Value};

/// Keys whose values, all the way down, are nobody's business.
const SECRET_SUBTREES: &[&str] = &[
    "env",
    "envs",
    "environmentVariables",
    "environment_variables",
    "buildEnvironmentVariables",
    "build_environment_variables",
    "metadata_startup_script",
    "sensitive_values",
    // What containers are started with, and what BGP peers and Interconnect partners know each other by.
    "args",
    "command",
    "md5AuthenticationKeys",
    "pairingKey",
];

/// Parts of a key that say its value is secret.
const SECRET_WORDS: &[&str] =
    &["password", "passwd", "secret", "token", "privatekey", "credential", "apikey", "startupscript", "sshkeys"];

/// Overwrites the secrets of a document in its text.
pub(super) fn hide(node: &Node, sources: &mut Sources) {
    let mut places = Vec::new();
    collect(node, false, &mut places);
    sources.hide(&places);
}

/// Overwrites what may be secret in a text that cannot be parsed, of which a finding will quote a line: the rest of each line
/// behind a telling name.
pub(crate) fn hide_unparsed(file: FileId, sources: &mut Sources) {
    let text = sources.text(file);
    let mut places = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let telling = line.char_indices().filter(|(_, character)| matches!(character, ':' | '=')).find(|(at, _)| {
            let name = line[..*at].trim_end().trim_end_matches(['"', '\'']);
            let from = name.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-').map_or(0, |at| at + 1);
            // A letter behind the last one that is none may take more than one byte.
            name.get(from..).is_some_and(|name| name == "value" || is_secret(name))
        });
        if let Some((at, _)) = telling {
            let end = start + line.trim_end().len();
            places.push(Place { file, start: (start + at + 1) as u32, end: end as u32 });
        }
        start += line.len();
    }
    sources.hide(&places);
}

fn collect(node: &Node, secret: bool, places: &mut Vec<Place>) {
    match &node.value {
        Value::Scalar(_) if secret => places.push(node.place),
        Value::Scalar(_) => {}
        Value::Sequence(items) => items.iter().for_each(|item| collect(item, secret, places)),
        Value::Mapping(entries) => {
            // `{name: …, value: …}` and `{key: …, value: …}`: an environment variable, an item of a VM's metadata.
            let named = entries.iter().any(|entry| matches!(&*entry.key.name, "name" | "key"));
            for entry in entries {
                let key = &*entry.key.name;
                let secret = secret || is_secret(key) || (named && key == "value");
                collect(&entry.value, secret, places);
            }
        }
    }
}

/// Whether a field of this name holds what nobody should see.
pub(super) fn is_secret(key: &str) -> bool {
    let plain: String = key.chars().filter(char::is_ascii_alphanumeric).flat_map(char::to_lowercase).collect();
    SECRET_SUBTREES.contains(&key) || SECRET_WORDS.iter().any(|word| plain.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::tree;

    #[test]
    fn values_that_may_be_secret_are_overwritten_and_nothing_else() {
        let text = "{\"name\": \"api\", \"env\": [{\"name\": \"A\", \"value\": \"s1\"}], \"sharedSecret\": \"s2\",\n\
                    \"metadata\": {\"items\": [{\"key\": \"startup-script\", \"value\": \"s3\"}]}, \"minPortsPerVm\": 64}";
        let mut sources = Sources::default();
        let file = sources.add("t", text);
        let node = tree::parse(text, file, &mut Vec::new()).expect("JSON").expect("a document");
        hide(&node, &mut sources);
        let shown = sources.text(file);
        assert_eq!(shown.len(), text.len());
        assert!(["s1", "s2", "s3"].iter().all(|secret| !shown.contains(secret)), "{shown}");
        assert!(shown.contains("\"minPortsPerVm\": 64") && shown.contains("{\"name\": \"api\""), "{shown}");
    }

    #[test]
    fn of_a_text_that_cannot_be_parsed_lines_are_cut_behind_telling_names() {
        let mut sources = Sources::default();
        let file = sources
            .add("t", "mtu: 1460\nenv:\n- name: X\n  value: s1 é\nDB_PASSWORD = s2\n{\"apiKey\":\"s3\", \"a\": 1}\n");
        hide_unparsed(file, &mut sources);
        let shown = sources.text(file);
        assert!(["s1", "s2", "s3"].iter().all(|secret| !shown.contains(secret)), "{shown}");
        assert!(shown.contains("mtu: 1460") && shown.contains("- name: X"), "{shown}");
    }
}
