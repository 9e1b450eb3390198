//! Addresses of Terraform: `module.network["a"].google_compute_subnetwork.apps[0]`, and references, which go on with an
//! attribute.

/// A part of an address between two dots, with the key behind it: `apps` and `[0]`, or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step<'t> {
    pub name: &'t str,
    /// With its brackets; of several (`a[0][1]`) all.
    pub key: &'t str,
}

/// The steps of an address. Dots in quoted keys part nothing.
pub(super) fn steps(text: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    let (mut start, mut bracket) = (0, None);
    let (mut quoted, mut escaped, mut depth) = (false, false, 0_usize);
    let mut push = |start: usize, bracket: Option<usize>, end: usize| {
        let at = bracket.unwrap_or(end);
        steps.push(Step { name: &text[start..at], key: &text[at..end] });
    };
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' if depth > 0 => quoted = !quoted,
            _ if quoted => {}
            '[' => {
                bracket = bracket.or(Some(at));
                depth += 1;
            }
            ']' => depth = depth.saturating_sub(1),
            '.' if depth == 0 => {
                push(start, bracket, at);
                (start, bracket) = (at + 1, None);
            }
            _ => {}
        }
    }
    push(start, bracket, text.len());
    steps
}

/// Parts an address into that of its module (empty: the root) and the rest.
pub(super) fn split_module(address: &str) -> (&str, &str) {
    let mut end = 0;
    let mut offset = 0;
    let all = steps(address);
    let mut at = 0;
    while at + 1 < all.len() && all[at].name == "module" && all[at].key.is_empty() {
        let length = |step: &Step<'_>| step.name.len() + step.key.len();
        offset += length(&all[at]) + 1 + length(&all[at + 1]) + 1;
        end = offset - 1;
        at += 2;
    }
    if end == 0 { ("", address) } else { (&address[..end], address.get(end + 1..).unwrap_or_default()) }
}

/// Goes one key deeper on the path of an attribute: `template[0].metadata[0].annotations["a.b/c"]`.
pub(super) fn push_key(path: &mut String, key: &str) {
    if key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
        let dot = if path.is_empty() { "" } else { "." };
        path.extend([dot, key]);
    } else {
        path.push_str(&format!("[{key:?}]"));
    }
}

/// Whether it is the address of a data source.
pub(super) fn is_data(address: &str) -> bool {
    split_module(address).1.starts_with("data.")
}

/// What a resource is called whose name is not known: its name in the configuration, with its key and those of its modules.
/// `module.net["a"].google_compute_network.vpc[0]` is `net-a-vpc-0`.
pub(super) fn fallback_name(address: &str) -> String {
    let (module, own) = split_module(address);
    let modules = steps(module).into_iter().filter(|step| step.name != "module" && !step.name.is_empty());
    let words = modules.chain(steps(own).last().copied()).flat_map(|step| [step.name, step.key]);
    let mut name = String::new();
    for c in words.flat_map(|word| std::iter::once('-').chain(word.chars())) {
        match c.to_ascii_lowercase() {
            c if c.is_ascii_alphanumeric() => name.push(c),
            _ if name.is_empty() || name.ends_with('-') => {}
            _ => name.push('-'),
        }
        // The longest name that Google takes.
        if name.len() >= 63 {
            break;
        }
    }
    let name = name.trim_end_matches('-');
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) { name.to_owned() } else { format!("r{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_steps_with_keys() {
        let step = |name, key| Step { name, key };
        assert_eq!(
            steps(r#"module.a["x.y"].google_b.c[0].d"#),
            [step("module", ""), step("a", r#"["x.y"]"#), step("google_b", ""), step("c", "[0]"), step("d", "")]
        );
        assert_eq!(steps(r#"a["q\"].b"]"#), [step("a", r#"["q\"].b"]"#)]);
        assert_eq!(steps(""), [step("", "")]);
        assert_eq!(steps("[[[\"é"), [step("", "[[[\"é")]);
    }

    #[test]
    fn an_address_is_its_modules_and_its_own() {
        assert_eq!(split_module("google_a.b"), ("", "google_a.b"));
        assert_eq!(split_module(r#"module.a["x"].google_a.b"#), (r#"module.a["x"]"#, "google_a.b"));
        assert_eq!(split_module("module.a.module.b[1].data.c.d"), ("module.a.module.b[1]", "data.c.d"));
        assert!(is_data("module.a.data.google_a.b"));
        assert!(!is_data("google_a.data"));
    }

    #[test]
    fn a_resource_without_a_name_is_called_by_its_address() {
        assert_eq!(fallback_name("google_compute_network.vpc"), "vpc");
        assert_eq!(fallback_name(r#"module.net["a"].google_compute_network.my_vpc[0]"#), "net-a-my-vpc-0");
        assert_eq!(fallback_name("data.google_compute_network.1"), "r1");
        assert_eq!(fallback_name(&format!("google_a.{}", "x".repeat(100))).len(), 63);
        assert_eq!(fallback_name(""), "r");
    }

    #[test]
    fn a_key_that_is_no_name_is_quoted_in_a_path() {
        let mut path = String::new();
        for key in ["metadata", "annotations", "a.b/c", "d"] {
            push_key(&mut path, key);
        }
        assert_eq!(path, r#"metadata.annotations["a.b/c"].d"#);
    }
}
