#!/bin/sh
# The action's only step: finds the program `covered`, verifies it, and runs it. Inputs are in INPUT_… variables.
#
# release.txt next to this file lists the released programs and their SHA-256. So a workflow that pins the action's commit
# also pins the program. This runs in any POSIX shell. It needs curl or wget to download, and sha256sum, shasum or openssl
# to verify.
set -eu

action=${0%/*}
temp=${RUNNER_TEMP:-${TMPDIR:-/tmp}}

has() { command -v "$1" >/dev/null 2>&1; }

# annotate error|warning|notice|group TEXT: prints a workflow command on one line, escaped so that the runner reads no other
# command in it.
annotate() { printf '::%s::%s\n' "$1" "$(sanitize "$2" | sed 's/%/%25/g')"; }

# log TEXT: prints a line of the log, escaped in the same way.
log() { printf '%s\n' "$(sanitize "$1" | sed 's/##\[/## [/g; s/^ *::/- &/')"; }

# sanitize TEXT: prints the text on one line, without users and passwords of URLs.
sanitize() { printf '%s' "$1" | tr '\r\n' '  ' | sed 's,://[^/ ]*@,://,g'; }

# fail TEXT: prints the error and fails the step.
fail() {
    annotate error "$1"
    exit 1
}

# append TEXT FILE: appends a line, if there is such a file; warns if it is not writable.
append() {
    [ -z "$2" ] || { printf '%s\n' "$1" >>"$2"; } 2>/dev/null || annotate warning "cannot write to $2"
}

# stop_for_outage TEXT: ends the step. It fails only with fail-on-error, because the repository did not cause this.
stop_for_outage() {
    case ${INPUT_FAIL_ON_ERROR:-${COVERED_FAIL_ON_ERROR:-}} in [Tt]* | [Yy]* | [Oo][Nn] | 1) fail "$1" ;; esac
    annotate warning "the report was not uploaded: $1"
    append 'uploaded=false' "${GITHUB_OUTPUT:-}"
    append 'The coverage report was **not uploaded**: the uploader could not be downloaded, see the log.' "${GITHUB_STEP_SUMMARY:-}"
    exit 0
}

# find_target: sets $target for this system, or leaves it empty. RUNNER_… are GitHub's names; uname is for other runners.
find_target() {
    exe=
    system=${RUNNER_OS:-$(uname -s)}/${RUNNER_ARCH:-$(uname -m)}
    case $system in
        Linux/X64 | Linux/x86_64) target=x86_64-unknown-linux-musl ;;
        Linux/ARM64 | Linux/aarch64) target=aarch64-unknown-linux-musl ;;
        macOS/X64 | Darwin/x86_64) target=x86_64-apple-darwin ;;
        macOS/ARM64 | Darwin/arm64) target=aarch64-apple-darwin ;;
        Windows/X64 | MINGW*/x86_64 | MSYS*/x86_64) target=x86_64-pc-windows-msvc exe=.exe ;;
        Windows/ARM64 | MINGW*/aarch64 | MSYS*/aarch64) target=aarch64-pc-windows-msvc exe=.exe ;;
        *) target= ;;
    esac
}

# find_release VERSION: reads the line of this version and system. Without VERSION it is the newest, which is the first.
find_release() {
    version=$1 versions='' targets='' url='' archive_hash='' program_hash=''
    [ "$version" != source ] || return 0
    [ ! -f "$action/release.txt" ] || while read -r line_version line_target line_url line_archive line_program || [ -n "$line_version" ]; do
        case $line_version in '' | '#'*) continue ;; esac
        case "$versions " in *" $line_version "*) ;; *) versions="$versions $line_version" ;; esac
        version=${version:-$line_version}
        [ "$line_version" = "$version" ] || continue
        targets="$targets $line_target"
        [ "$line_target" = "$target" ] || continue
        url=$line_url archive_hash=$line_archive program_hash=$line_program
    done <"$action/release.txt"
    [ -z "$version" ] || [ -n "$targets" ] ||
        fail "this commit of the action does not list version $version, only:${versions:- none}; leave the input 'version' out, or write 'uses: org/covered@v$version'"
}

# matches FILE SHA-256: whether the file has this hash. Sets $hash to the file's.
matches() {
    if has sha256sum; then
        hash=$(sha256sum <"$1")
    elif has shasum; then
        hash=$(shasum -a 256 <"$1")
    elif has openssl; then
        hash=$(openssl dgst -sha256 -r <"$1")
    else
        fail "cannot verify $1: this runner has neither sha256sum nor shasum nor openssl; install one of them in an earlier step"
    fi
    hash=${hash%% *}
    [ "$hash" = "$2" ]
}

# build WHY: builds the program from the action's own source.
build() {
    has cargo ||
        fail "$1, and this runner has no cargo to build it with; install Rust in an earlier step, or set the input 'binary' to the path of a covered program"
    annotate group "Build covered from source: $1"
    # A build runs code of dependencies, which must not see secrets.
    if (
        unset INPUT_API_KEY INPUT_GITHUB_TOKEN COVERED_API_KEY COVERED_GH_TOKEN ACTION_DEFAULT_GITHUB_TOKEN
        unset ACTIONS_ID_TOKEN_REQUEST_TOKEN ACTIONS_RUNTIME_TOKEN
        exec cargo build --locked --profile action --package covered \
            --manifest-path "$action/../Cargo.toml" --target-dir "$temp/covered-build"
    ); then built=yes; else built=; fi
    echo '::endgroup::'
    [ -n "$built" ] || fail 'could not build covered from source, see above; pin a release, or set the input binary to the path of a covered program'
    binary=$temp/covered-build/action/covered$exe
}

# transfer FILE: downloads $url, with one try. Only a mirror may use http: the SHA-256 protects the file.
transfer() {
    case $url in https://*) protocols='=https' ;; *) protocols='=http,https' ;; esac
    if has curl; then
        curl -q --globoff --fail --silent --show-error --location --proto "$protocols" --connect-timeout 15 --max-time 120 \
            --output "$1" "$url"
    else
        # Not with wget's own -T: Debian's busybox crashes on it.
        limit=
        if has timeout; then limit='timeout 120'; fi
        $limit wget -nv -t 1 -O "$1" "$url"
    fi
}

# download FILE: downloads $url. A 404 is final; any other failure is tried four times.
download() {
    has curl || has wget || fail "cannot download $url: this runner has neither curl nor wget; install one of them in an earlier step"
    pause=1
    until output=$(transfer "$1" 2>&1); do
        case $output in *' 404' | *' 404 '* | *' 404:'*) pause=8 ;; esac
        [ "$pause" -lt 8 ] || stop_for_outage "cannot download $url: $output"
        log "cannot download $url: $output; trying again in $pause s"
        sleep "$pause"
        pause=$((pause * 2))
    done
}

# unpack NAME: unpacks an archive in $work, without its path: GNU tar reads the C: of a path as a host.
unpack() (
    cd "$work" || exit
    case $1 in
        *.zip) if has unzip; then unzip -q "$1"; else "${SYSTEMROOT:-C:/Windows}/System32/tar.exe" -xf "$1"; fi ;;
        *) tar -xzf "$1" ;;
    esac
)

# verify FILE SHA-256 WHAT: fails the step unless the file has this hash.
verify() {
    matches "$1" "$2" ||
        fail "$3 is not the program that this commit of the action lists: its SHA-256 is $hash, expected $2. It was neither run nor cached"
}

# install: sets $binary to the program, from the tool cache or else from the release.
install() {
    work=
    for cache in "${RUNNER_TOOL_CACHE:-$temp}" "$temp"; do
        folder=$cache/covered/$version/$target
        binary=$folder/covered$exe
        if [ -f "$binary" ]; then
            if matches "$binary" "$program_hash"; then return; fi
            annotate warning "replacing $binary, which was modified: its SHA-256 is $hash, expected $program_hash"
        elif [ -d "$binary" ]; then
            # A file that is moved there would end up inside.
            annotate warning "cannot install covered as $binary, which is a folder: remove it"
            continue
        fi
        if { mkdir -p "$folder" && work=$(mktemp -d "$folder/new.XXXXXX"); } 2>/dev/null; then break; fi
        annotate notice "cannot write to the folder $folder"
    done
    [ -n "$work" ] || fail "cannot install covered: neither the runner's tool cache nor $temp is writable"
    # An incomplete file never has the program's name: it is made in another folder, and moved.
    trap 'rm -rf "$work"' EXIT
    trap 'exit 1' HUP INT TERM

    archive=${url##*/}
    download "$work/$archive"
    verify "$work/$archive" "$archive_hash" "$url"
    unpack "$archive" || fail "cannot unpack $archive"
    program=$work/covered-$version-$target/covered$exe
    verify "$program" "$program_hash" "the program in $archive"
    # On Windows a running program cannot be replaced. Then another job has installed the same one.
    mv -f "$program" "$binary" 2>/dev/null || verify "$binary" "$program_hash" "$binary"
    rm -rf "$work"
    trap - EXIT HUP INT TERM
    log "Installed covered $version for $target from $url"
}

binary=${INPUT_BINARY:-}
requested=${INPUT_VERSION:-}
find_target
find_release "${requested#v}"
if [ -n "$binary" ]; then
    # With a slash, so that it is neither searched in PATH nor read as an option.
    case $binary in /* | ?:*) ;; *) binary=./$binary ;; esac
    if [ ! -f "$binary" ] || [ ! -x "$binary" ]; then
        fail "the input 'binary' is '$INPUT_BINARY', which is not an executable file"
    fi
    [ -z "$program_hash" ] || matches "$binary" "$program_hash" ||
        fail "the input 'binary' is '$INPUT_BINARY', whose SHA-256 is $hash; covered $version for $target has $program_hash. To run a build of your own, set 'version: source'"
elif [ -n "$url" ]; then
    [ -z "${INPUT_DOWNLOAD_URL:-}" ] || url=${INPUT_DOWNLOAD_URL%/}/v$version/${url##*/}
    case $url in
        https://?* | http://?*) ;;
        *) fail "the input 'download-url' is '${INPUT_DOWNLOAD_URL##*@}', which is not a URL such as https://mirror.example.com/covered" ;;
    esac
    install
elif [ "$version" = source ]; then
    build "the input 'version' is source"
elif [ -n "$targets" ]; then
    build "covered $version has no release for $system, only for:$targets"
else
    [ -z "${INPUT_DOWNLOAD_URL:-}" ] || annotate notice "ignored the input 'download-url': this commit of the action lists no release"
    build 'this commit of the action lists no release'
fi
exec "$binary"
