//! Every setting's name and help.

pub struct Setting {
    pub name: &'static str,
    pub value: &'static str,
    pub help: &'static str,
}

/// Every setting: the name in the environment; the flag is that name in kebab case.
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
        help: "addresses that the server, or the Python original before it, had: links of older commit statuses lead there [none]",
    },
    Setting {
        name: "REPORT_HOST",
        value: "*.DOMAIN[:PORT]",
        help: "a host for each report, so that no script of one shares an origin with another [none: all are at PUBLIC_URL]",
    },
    Setting {
        name: "API_KEY",
        value: "KEY[=REPOS][,...]",
        help: "what uploaders must send, each key for all repositories or for those behind it: key=octo/*|acme/app; without repositories the whole text is a key too [with files: made on first start, kept in the folder]",
    },
    Setting {
        name: "STORAGE_URL",
        value: "URL",
        help: "file:///path, s3://bucket/prefix, gs://bucket, az://container or memory:// [s3://AWS_BUCKET if that is set, else the folder covered-data]",
    },
    Setting {
        name: "GITHUB_TOKEN",
        value: "TOKEN",
        help: "reads commit statuses for badges [none: badges show what the uploads said]",
    },
    Setting {
        name: "GITHUB_API_URL",
        value: "URL",
        help: "GitHub's API; on Enterprise Server https://HOST/api/v3 [https://api.github.com]",
    },
    Setting {
        name: "REDIS_URL",
        value: "URL",
        help: "shares badge values between servers, such as redis://:PASSWORD@HOST:6379 [each keeps its own]",
    },
    Setting {
        name: "ALLOWED_REPOSITORIES",
        value: "LIST",
        help: "whose reports are taken and whom GitHub is asked about, such as \"octo/*, acme/app, id:1296269, owner-id:583231\"; their workflows need no API key [all, each with a key]",
    },
    Setting {
        name: "OIDC_ISSUERS",
        value: "URL[,...]",
        help: "who signs the tokens of workflows; on Enterprise Server https://HOST/_services/token; none: no token is taken [https://token.actions.githubusercontent.com]",
    },
    Setting { name: "OIDC_AUDIENCE", value: "TEXT", help: "whom those tokens have to be for [PUBLIC_URL]" },
    Setting { name: "MAX_REPORT_BYTES", value: "BYTES", help: "largest report, zipped [536870912]" },
    Setting { name: "MAX_REPORT_FILES", value: "NUMBER", help: "files in one report, at most [100000]" },
    Setting {
        name: "MAX_FILE_BYTES",
        value: "BYTES",
        help: "bytes of one file of a report, unpacked, at most; less than 4 GiB [1073741824]",
    },
    Setting {
        name: "MAX_UNPACKED_BYTES",
        value: "BYTES",
        help: "bytes of one report's files together, unpacked, at most [8589934592]",
    },
    Setting { name: "CACHE_BYTES", value: "BYTES", help: "memory for report indexes and hot files [67108864]" },
    Setting {
        name: "SEND_BUFFER_BYTES",
        value: "BYTES",
        help: "memory for responses that wait to be sent, in addition to CACHE_BYTES [33554432]",
    },
    Setting { name: "TLS_CERT", value: "FILE", help: "PEM file of the certificate and its chain: speak HTTPS [HTTP]" },
    Setting { name: "TLS_KEY", value: "FILE", help: "PEM file of the certificate's private key" },
    Setting {
        name: "TRUSTED_PROXIES",
        value: "LIST",
        help: "whose X-Forwarded-For tells the client's address, such as \"10.0.0.0/8, 192.0.2.7\" [none]",
    },
    Setting { name: "MAX_CONNECTIONS", value: "NUMBER", help: "connections at once [10000]" },
    Setting {
        name: "MAX_CONNECTIONS_PER_ADDRESS",
        value: "NUMBER",
        help: "connections at once from one address, trusted proxies aside [1000]",
    },
    Setting { name: "MAX_UPLOADS", value: "NUMBER", help: "uploads at once, where the server takes them itself [64]" },
    Setting {
        name: "HEADER_TIMEOUT",
        value: "SECONDS",
        help: "for a request's head, a JSON body or a TLS handshake to come in [10]",
    },
    Setting { name: "REQUEST_TIMEOUT", value: "SECONDS", help: "for an answer to be ready, uploads aside [30]" },
    Setting { name: "IDLE_TIMEOUT", value: "SECONDS", help: "for the next request on an open connection [75]" },
    Setting {
        name: "STALL_TIMEOUT",
        value: "SECONDS",
        help: "how long a transfer may go on with less than 1 KiB a second [30]",
    },
    Setting { name: "LOG_FORMAT", value: "text|json", help: "one line per request, as text or as JSON [text]" },
    Setting { name: "LOG_LEVEL", value: "LEVEL", help: "error, warn, info or debug [info]" },
    Setting {
        name: "METRICS_LISTEN",
        value: "ADDRESS:PORT",
        help: "where Prometheus finds /metrics, such as 127.0.0.1:9100 [nowhere]",
    },
    Setting { name: "AWS_BUCKET", value: "BUCKET", help: "the S3 bucket, where STORAGE_URL is not set" },
    Setting { name: "AWS_REGION", value: "REGION", help: "the bucket's region" },
    Setting { name: "AWS_ACCESS_KEY_ID", value: "ID", help: "S3 credentials [web identity, container or instance]" },
    Setting { name: "AWS_SECRET_ACCESS_KEY", value: "KEY", help: "goes with AWS_ACCESS_KEY_ID" },
    Setting {
        name: "AWS_UPLOAD_ROLE_ARN",
        value: "ARN",
        help: "the role whose temporary credentials the Python CLI uploads with [none: the CLI is refused]",
    },
    Setting { name: "AWS_ENDPOINT_URL", value: "URL", help: "another S3 service, such as http://127.0.0.1:9000" },
];

/// Names whose values must not stand on a command line, where every user of the machine can read them. Each can be
/// read from a file too, whose path is in `NAME_FILE`.
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
/// What the variable of a secret's file ends with.
pub const FILE: &str = "_FILE";

/// The variables of the cloud vendors that are passed on; AWS's cover static keys, web identity,
/// container and instance credentials.
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

/// The setting that a flag is for, by its name in the environment; a secret's file counts as one.
pub fn name_of(flag: &str) -> Option<String> {
    let setting = |flag: &str| SETTINGS.iter().map(|setting| setting.name).find(|name| flag_of(name) == flag);
    let secret = || setting(flag.strip_suffix("-file")?).filter(|name| SECRETS.contains(name));
    setting(flag).map(ToOwned::to_owned).or_else(|| secret().map(|name| format!("{name}{FILE}")))
}

/// Whether a name of the environment is one of this server's or of its storage's.
pub fn is_setting(name: &str) -> bool {
    let own = |name| SETTINGS.iter().any(|setting| setting.name == name) || SECRETS.contains(&name);
    let vendors = [AWS_NAMES, GOOGLE_NAMES, AZURE_NAMES];
    own(name)
        || name.strip_suffix(FILE).is_some_and(|name| SECRETS.contains(&name))
        || vendors.iter().any(|names| names.contains(&name))
}

pub fn help() -> String {
    let mut text = format!(
        "covered-server {}: stores coverage reports, serves them, and draws their badges\n\n\
         usage: covered-server [--SETTING VALUE ...]\n\
         \x20      covered-server check [--SETTING VALUE ...]        tries every part, says what works and what to fix\n\
         \x20      covered-server healthcheck [--SETTING VALUE ...]  asks the server on LISTEN whether it lives\n\
         \x20      covered-server rebind OWNER/NAME [--SETTING VALUE ...]\n\
         \x20          lets another repository than before upload by this name without a key\n\n\
         Each setting is a flag and an environment variable; the flag wins. What neither sets may be in a\n\
         file .env in the working directory. In brackets: the default. Each secret can be in a file whose path NAME_FILE or --NAME-file gives, such as\n\
         API_KEY_FILE: prefer that or the environment, as other users can read a command line.\n\n",
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
    text += "\n  --help, --version\n\nexit codes: 0 stopped on request or nothing to fix, 1 could not run or something to fix, 2 wrong settings\n";
    text
}
