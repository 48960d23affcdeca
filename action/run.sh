#!/bin/sh
# The action's one step: finds the program `covered`, checks it, and runs it. Its inputs stand in INPUT_… variables.
#
# release.txt beside this file names the programs that there are, and their SHA-256: whoever pins the action's commit
# pins the program. Any POSIX shell will do. A download needs curl or wget; a check sha256sum, shasum or openssl.
set -eu

here=${0%/*}
temp=${RUNNER_TEMP:-${TMPDIR:-/tmp}}

has() { command -v "$1" >/dev/null 2>&1; }

# tell error|warning|notice TEXT: as an annotation, in one line and with nothing in it that the runner would obey. It
# shows no address's user and password.
tell() { printf '::%s::%s\n' "$1" "$(line "$2" | sed 's/%/%25/g')"; }

# say TEXT: a line of the log, the same way.
say() { printf '%s\n' "$(line "$1" | sed 's/##\[/## [/g; s/^ *::/- &/')"; }

line() { printf '%s' "$1" | tr '\r\n' '  ' | sed 's,://[^/ ]*@,://,g'; }

stop() {
    tell error "$1"
    exit 1
}

# append TEXT FILE, where that is one that can be written to.
append() {
    [ -z "$2" ] || { printf '%s\n' "$1" >>"$2"; } 2>/dev/null || tell warning "cannot write to $2"
}

# What is no fault of this repository's is red only where that was asked for.
outage() {
    case ${INPUT_FAIL_ON_ERROR:-${COVERED_FAIL_ON_ERROR:-}} in [Tt]* | [Yy]* | [Oo][Nn] | 1) stop "$1" ;; esac
    tell warning "the report was not uploaded: $1"
    append 'uploaded=false' "${GITHUB_OUTPUT:-}"
    append 'The coverage report was **not uploaded**: its uploader could not be downloaded, see the log.' "${GITHUB_STEP_SUMMARY:-}"
    exit 0
}

# The release for this system, if there is one. RUNNER_… are GitHub's own words, uname's are for other runners.
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

# find_release VERSION: the line of that version and this system; without a version, of the newest, which stands first.
find_release() {
    version=$1 versions='' targets='' url='' archive_hash='' program_hash=''
    [ "$version" != source ] || return 0
    [ ! -f "$here/release.txt" ] || while read -r line_version line_target line_url line_archive line_program || [ -n "$line_version" ]; do
        case $line_version in '' | '#'*) continue ;; esac
        case "$versions " in *" $line_version "*) ;; *) versions="$versions $line_version" ;; esac
        version=${version:-$line_version}
        [ "$line_version" = "$version" ] || continue
        targets="$targets $line_target"
        [ "$line_target" = "$target" ] || continue
        url=$line_url archive_hash=$line_archive program_hash=$line_program
    done <"$here/release.txt"
    [ -z "$version" ] || [ -n "$targets" ] ||
        stop "this commit of the action knows no version $version, only:${versions:- none}; leave the input 'version' out, or write 'uses: org/covered@v$version'"
}

# matches FILE SHA-256; leaves what it found in $hash.
matches() {
    if has sha256sum; then
        hash=$(sha256sum <"$1")
    elif has shasum; then
        hash=$(shasum -a 256 <"$1")
    elif has openssl; then
        hash=$(openssl dgst -sha256 -r <"$1")
    else
        stop "cannot check $1: this runner has neither sha256sum nor shasum nor openssl; install one of them in a step before"
    fi
    hash=${hash%% *}
    [ "$hash" = "$2" ]
}

# build WHY: from the action's own source.
build() {
    has cargo ||
        stop "$1, and this runner has no cargo to build it with; install Rust in a step before, or point the input 'binary' to a covered program"
    tell group "Build covered from source: $1"
    # A build runs other people's code: it does not need our secrets.
    if (
        unset INPUT_API_KEY INPUT_GITHUB_TOKEN COVERED_API_KEY COVERED_GH_TOKEN ACTION_DEFAULT_GITHUB_TOKEN
        unset ACTIONS_ID_TOKEN_REQUEST_TOKEN ACTIONS_RUNTIME_TOKEN
        exec cargo build --locked --profile action --package covered \
            --manifest-path "$here/../Cargo.toml" --target-dir "$temp/covered-build"
    ); then built=yes; else built=; fi
    echo '::endgroup::'
    [ -n "$built" ] || stop 'covered could not be built from source, see above; pin a release, or point the input binary to a covered program'
    binary=$temp/covered-build/action/covered$exe
}

# transfer FILE: one try. An address by http is only ever the mirror's own: the SHA-256 is what is relied on.
transfer() {
    case $url in https://*) protocols='=https' ;; *) protocols='=http,https' ;; esac
    if has curl; then
        curl -q --globoff --fail --silent --show-error --location --proto "$protocols" --connect-timeout 15 --max-time 120 \
            --output "$1" "$url"
    else
        # Not by wget's own -T: Debian's busybox crashes on it.
        limit=
        if has timeout; then limit='timeout 120'; fi
        $limit wget -nv -t 1 -O "$1" "$url"
    fi
}

# download FILE: what is not there will not be there in a second; anything else gets four tries.
download() {
    has curl || has wget || stop "cannot download $url: this runner has neither curl nor wget; install one of them in a step before"
    pause=1
    until said=$(transfer "$1" 2>&1); do
        case $said in *' 404' | *' 404 '* | *' 404:'*) pause=8 ;; esac
        [ "$pause" -lt 8 ] || outage "cannot download $url: $said"
        say "cannot download $url: $said; trying again in $pause s"
        sleep "$pause"
        pause=$((pause * 2))
    done
}

# unpack NAME, in $work and by that name alone: GNU tar takes the C: of a path for a host.
unpack() (
    cd "$work" || exit
    case $1 in
        *.zip) if has unzip; then unzip -q "$1"; else "${SYSTEMROOT:-C:/Windows}/System32/tar.exe" -xf "$1"; fi ;;
        *) tar -xzf "$1" ;;
    esac
)

# expect FILE SHA-256 WHAT
expect() {
    matches "$1" "$2" ||
        stop "$3 is not the program that this commit of the action stands for: its SHA-256 is $hash, expected is $2. Nothing of it was run or kept"
}

# install: $binary from the tool cache, else from the release.
install() {
    work=
    for cache in "${RUNNER_TOOL_CACHE:-$temp}" "$temp"; do
        folder=$cache/covered/$version/$target
        binary=$folder/covered$exe
        if [ -f "$binary" ]; then
            if matches "$binary" "$program_hash"; then return; fi
            tell warning "$binary was changed, its SHA-256 is $hash, expected is $program_hash: it is replaced"
        elif [ -d "$binary" ]; then
            # What is moved there would land inside.
            tell warning "$binary is a folder, where the program should be: remove it"
            continue
        fi
        if { mkdir -p "$folder" && work=$(mktemp -d "$folder/new.XXXXXX"); } 2>/dev/null; then break; fi
        tell notice "the folder $folder cannot be written to"
    done
    [ -n "$work" ] || stop "there is no place for covered: neither the runner's tool cache nor $temp can be used"
    # What is not whole never bears the program's name: it is made in a folder beside, and moved.
    trap 'rm -rf "$work"' EXIT
    trap 'exit 1' HUP INT TERM

    archive=${url##*/}
    download "$work/$archive"
    expect "$work/$archive" "$archive_hash" "$url"
    unpack "$archive" || stop "cannot unpack $archive"
    program=$work/covered-$version-$target/covered$exe
    expect "$program" "$program_hash" "the program in $archive"
    # On Windows a program that runs cannot be replaced: another job has put the same one there.
    mv -f "$program" "$binary" 2>/dev/null || expect "$binary" "$program_hash" "$binary"
    rm -rf "$work"
    trap - EXIT HUP INT TERM
    say "Installed covered $version for $target from $url"
}

binary=${INPUT_BINARY:-}
wanted=${INPUT_VERSION:-}
find_target
find_release "${wanted#v}"
if [ -n "$binary" ]; then
    # Not on the search path, and no option.
    case $binary in /* | ?:*) ;; *) binary=./$binary ;; esac
    if [ ! -f "$binary" ] || [ ! -x "$binary" ]; then
        stop "the input 'binary' points to '$INPUT_BINARY', which is no file that can be run"
    fi
    [ -z "$program_hash" ] || matches "$binary" "$program_hash" ||
        stop "the input 'binary' points to '$INPUT_BINARY', whose SHA-256 is $hash; that of covered $version for $target is $program_hash. Give 'version: source' to run a build of your own"
elif [ -n "$url" ]; then
    [ -z "${INPUT_DOWNLOAD_URL:-}" ] || url=${INPUT_DOWNLOAD_URL%/}/v$version/${url##*/}
    case $url in
        https://?* | http://?*) ;;
        *) stop "the input 'download-url' is '${INPUT_DOWNLOAD_URL##*@}', which is no address such as https://mirror.example.com/covered" ;;
    esac
    install
elif [ "$version" = source ]; then
    build "the input 'version' asks for it"
elif [ -n "$targets" ]; then
    build "covered $version has no release for $system, only for:$targets"
else
    [ -z "${INPUT_DOWNLOAD_URL:-}" ] || tell notice "the input 'download-url' is not used: this commit of the action names no release"
    build 'this commit of the action names no release'
fi
exec "$binary"
