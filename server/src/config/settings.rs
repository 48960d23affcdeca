//! The names and help texts of all settings.

pub struct Setting {
    pub name: &'static str,
    pub value: &'static str,
    pub help: &'static str,
}

/// All settings, by environment variable. The flag is the same name in kebab case.
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "LISTEN",
        value: "ADDRESS:PORT",
        help: "where to listen [127.0.0.1:8000]; port 0 picks a free one",
    },
    Setting {
        name: "PUBLIC_URL",
        value: "URL",
        help: "the address that readers use [http://LISTEN, on loopback only]",
    },
    Setting {
        name: "FORMER_URLS",
        value: "URL[,...]",
        help: "former addresses of this server or of the Python original: links in older commit statuses still work [none]",
    },
    Setting {
        name: "REPORT_HOST",
        value: "*.DOMAIN[:PORT]",
        help: "serves each report on a host of its own, to isolate the scripts of reports from each other [none: all reports are on PUBLIC_URL]",
    },
    Setting {
        name: "API_KEY",
        value: "KEY[=REPOS][,...]",
        help: "comma-separated API keys; KEY=octo/*|acme/app restricts a key to repositories; if no key is restricted, the whole text is also a key [with file:// storage: created at the first start and kept in the folder]",
    },
    Setting {
        name: "STORAGE_URL",
        value: "URL",
        help: "file:///path, s3://bucket/prefix, gs://bucket, az://container or memory:// [s3://AWS_BUCKET if that is set, else the folder covered-data]",
    },
    Setting {
        name: "GITHUB_TOKEN",
        value: "TOKEN",
        help: "reads commit statuses for badges [none: badges show the last upload]",
    },
    Setting {
        name: "GITHUB_API_URL",
        value: "URL",
        help: "GitHub's API; on Enterprise Server https://HOST/api/v3 [https://api.github.com]",
    },
    Setting {
        name: "REDIS_URL",
        value: "URL",
        help: "shares badge values between servers, such as redis://:PASSWORD@HOST:6379 [none: each server has its own]",
    },
    Setting {
        name: "ALLOWED_REPOSITORIES",
        value: "LIST",
        help: "repositories that may upload, and that the server looks up on GitHub, such as \"octo/*, acme/app, id:1296269, owner-id:583231\"; their workflows need no API key [all, with an API key]",
    },
    Setting {
        name: "OIDC_ISSUERS",
        value: "URL[,...]",
        help: "issuers of workflow tokens; on Enterprise Server https://HOST/_services/token; \"none\" disables tokens [https://token.actions.githubusercontent.com]",
    },
    Setting { name: "OIDC_AUDIENCE", value: "TEXT", help: "expected audience of those tokens [PUBLIC_URL]" },
    Setting { name: "MAX_REPORT_BYTES", value: "BYTES", help: "maximum size of a zipped report [536870912]" },
    Setting { name: "MAX_REPORT_FILES", value: "NUMBER", help: "maximum number of files in a report [100000]" },
    Setting {
        name: "MAX_FILE_BYTES",
        value: "BYTES",
        help: "maximum size of one unpacked file of a report, below 4 GiB [1073741824]",
    },
    Setting {
        name: "MAX_UNPACKED_BYTES",
        value: "BYTES",
        help: "maximum total size of a report's unpacked files [8589934592]",
    },
    Setting { name: "CACHE_BYTES", value: "BYTES", help: "memory for report indexes and hot files [67108864]" },
    Setting {
        name: "SEND_BUFFER_BYTES",
        value: "BYTES",
        help: "memory for responses that wait to be sent, in addition to CACHE_BYTES [33554432]",
    },
    Setting {
        name: "TLS_CERT",
        value: "FILE",
        help: "PEM file of the certificate and its chain: enables HTTPS [HTTP]",
    },
    Setting { name: "TLS_KEY", value: "FILE", help: "PEM file of the certificate's private key" },
    Setting {
        name: "TRUSTED_PROXIES",
        value: "LIST",
        help: "proxies whose X-Forwarded-For header is trusted, such as \"10.0.0.0/8, 192.0.2.7\" [none]",
    },
    Setting { name: "MAX_CONNECTIONS", value: "NUMBER", help: "maximum number of open connections [10000]" },
    Setting {
        name: "MAX_CONNECTIONS_PER_ADDRESS",
        value: "NUMBER",
        help: "maximum number of open connections from one address; trusted proxies do not count [1000]",
    },
    Setting {
        name: "MAX_UPLOADS",
        value: "NUMBER",
        help: "maximum number of uploads in progress through the server [64]",
    },
    Setting {
        name: "HEADER_TIMEOUT",
        value: "SECONDS",
        help: "time to receive a request head, a JSON body or a TLS handshake [10]",
    },
    Setting { name: "REQUEST_TIMEOUT", value: "SECONDS", help: "time to prepare a response, except for uploads [30]" },
    Setting { name: "IDLE_TIMEOUT", value: "SECONDS", help: "time an idle connection stays open [75]" },
    Setting {
        name: "STALL_TIMEOUT",
        value: "SECONDS",
        help: "time a transfer may be slower than 1 KiB per second [30]",
    },
    Setting {
        name: "LOG_FORMAT",
        value: "text|json",
        help: "format of the log: one line per request, as text or JSON [text]",
    },
    Setting { name: "LOG_LEVEL", value: "LEVEL", help: "error, warn, info or debug [info]" },
    Setting {
        name: "METRICS_LISTEN",
        value: "ADDRESS:PORT",
        help: "address for Prometheus metrics (/metrics), such as 127.0.0.1:9100 [none]",
    },
    Setting { name: "AWS_BUCKET", value: "BUCKET", help: "the S3 bucket, if STORAGE_URL is not set" },
    Setting { name: "AWS_REGION", value: "REGION", help: "the bucket's region [us-east-1]" },
    Setting { name: "AWS_ACCESS_KEY_ID", value: "ID", help: "S3 credentials [web identity, container or instance]" },
    Setting { name: "AWS_SECRET_ACCESS_KEY", value: "KEY", help: "the secret of AWS_ACCESS_KEY_ID" },
    Setting {
        name: "AWS_UPLOAD_ROLE_ARN",
        value: "ARN",
        help: "the role that the server assumes to give the Python CLI, and the action with files: true, temporary credentials [none: both are refused]",
    },
    Setting { name: "AWS_ENDPOINT_URL", value: "URL", help: "another S3 service, such as http://127.0.0.1:9000" },
];

/// Secrets. They should not be on the command line, where other users can read them; `NAME_FILE` reads them from a
/// file.
pub const SECRETS: &[&str] = &[
    "API_KEY",
    "GITHUB_TOKEN",
    "REDIS_URL",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_CLIENT_SECRET",
];
/// The suffix of the variables for secret files.
pub const FILE: &str = "_FILE";

/// Variables that are passed on to the cloud vendors' clients. AWS's cover static keys, web identity, container and
/// instance credentials.
pub const AWS_NAMES: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_STS",
    "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];
pub const GOOGLE_NAMES: &[&str] =
    &["GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_KEY"];
pub const AZURE_NAMES: &[&str] = &[
    "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_CLIENT_ID",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_STORAGE_TENANT_ID",
    "AZURE_STORAGE_ENDPOINT",
    "AZURE_FEDERATED_TOKEN_FILE",
];

pub fn flag_of(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

/// The environment variable of a flag, also for secret files.
pub fn name_of(flag: &str) -> Option<String> {
    let setting = |flag: &str| SETTINGS.iter().map(|setting| setting.name).find(|name| flag_of(name) == flag);
    let secret = || setting(flag.strip_suffix("-file")?).filter(|name| SECRETS.contains(name));
    setting(flag).map(ToOwned::to_owned).or_else(|| secret().map(|name| format!("{name}{FILE}")))
}

/// Whether a variable is a setting of this server or of its storage.
pub fn is_setting(name: &str) -> bool {
    let own = |name| SETTINGS.iter().any(|setting| setting.name == name) || SECRETS.contains(&name);
    let vendors = [AWS_NAMES, GOOGLE_NAMES, AZURE_NAMES];
    own(name)
        || name.strip_suffix(FILE).is_some_and(|name| SECRETS.contains(&name))
        || vendors.iter().any(|names| names.contains(&name))
}

pub fn help() -> String {
    let mut text = format!(
        "covered-server {}: stores coverage reports, serves them, and draws badges\n\n\
         usage: covered-server [COMMAND] [--SETTING VALUE ...]\n\n\
         Without a command, the server starts. Commands:\n\n\
         \x20 check              tests every part and reports what to fix\n\
         \x20 healthcheck        checks that the server on LISTEN is running\n\
         \x20 rebind OWNER/NAME  lets a new repository of this name upload without a key\n\n\
         Each setting is a flag and an environment variable; the flag takes precedence.\n\
         A file .env in the working directory can set what neither does. Defaults are in\n\
         brackets. NAME_FILE or --NAME-file reads a secret from a file, such as\n\
         API_KEY_FILE. Do not pass secrets as flags: other users can read them.\n\n",
        env!("CARGO_PKG_VERSION")
    );
    for setting in SETTINGS {
        let secret = if SECRETS.contains(&setting.name) { " (secret)" } else { "" };
        text += &format!(
            "  --{} {}\n      {}{secret}: {}\n",
            flag_of(setting.name),
            setting.value,
            setting.name,
            setting.help
        );
    }
    text += "\n  --help, --version\n\nexit codes: 0 stopped on request, or check found no problem; 1 failed, or check found a problem; 2 invalid settings\n";
    text
}
