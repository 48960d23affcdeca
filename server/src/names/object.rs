//! Keys of objects in the store, except those of a site.

use crate::names::report::ReportName;
use crate::names::repository::Repository;

/// The folder of reports.
pub const SITES: &str = "sites";

/// The folder of badge values.
pub const VALUES: &str = "values";

/// The folder of bindings between names and IDs.
pub const BINDINGS: &str = "repositories";

/// `{folder}/readyz`: an empty object that tests whether the folder can be written and read.
pub fn probe_key(folder: &str) -> String {
    format!("{folder}/readyz")
}

/// The folder of unfinished uploads.
pub const STAGING: &str = "uploads";

/// `values/{owner}/{repo}/{name}.json`: the last value of a badge. `_` is the report without a name; it is not a valid
/// name.
pub fn value_key(repository: &Repository, name: Option<&ReportName>) -> String {
    match name {
        Some(name) => format!("values/{repository}/{name}.json"),
        None => format!("values/{repository}/_.json"),
    }
}

/// `repositories/{owner}/{repo}.json`: the repository ID that the name is bound to.
pub fn binding_key(repository: &Repository) -> String {
    format!("repositories/{repository}.json")
}

/// The file that reserves a site. It is never served.
pub const RESERVATION: &str = ".keep";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_without_a_name_have_their_own_object_key() {
        let app: Repository = "octo/app".parse().unwrap();
        assert_eq!(value_key(&app, None), "values/octo/app/_.json");
        assert_eq!(value_key(&app, Some(&"Back".parse().unwrap())), "values/octo/app/back.json");
        for wrong in ["_", "", "a/b", ".hidden", "-x", "a b"] {
            assert!(wrong.parse::<ReportName>().is_err(), "{wrong:?}");
        }
    }
}
