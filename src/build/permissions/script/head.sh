#
# As root:
#   sh THIS        sets what the jail has
#   sh THIS DIR    sets a copy of its tree, in DIR
#
# It never follows a link, and leaves alone and names what is of another kind than it should be, or
# has several names (hard links). Exit codes: 0 all is set, 1 something is not, 2 it could not begin.

set -u -f
unset CDPATH IFS
PATH=/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
newline='
'
failed=0
entered=

# say PATH WHY: something is left as it is.
say() {
    printf '%s' "not set: $1: $2" | tr -c '[:print:]' '?' >&2
    printf '\n' >&2
    failed=1
}

# stop PATH WHY: nothing is changed.
stop() {
    say "$1" "$2"
    exit 2
}

# begin COPY TREE: all that follows is in the copy, if there is one.
begin() {
    root=${1:-$2}
    [ "$(id -u)" = 0 ] || stop "$root" 'this needs root'
    case $root in /*) ;; *) root=./$root ;; esac
    [ ! -L "$root" ] || stop "$root" 'it is a link'
    cd -P "$root" || stop "$root" 'it is no directory'
    root=$(pwd -P && echo .)
    root=${root%"$newline".}
    [ "$root" != / ] || stop / 'this would change the host'
}

# enter DIRECTORY: goes there, if no link leads elsewhere.
enter() {
    entered=
    there=${root}$1
    there=${there:-/}
    if [ ! -d "$there" ] || ! cd -P "$there" 2>/dev/null; then
        say "$there" 'it is missing, or no directory'
        return 1
    fi
    if [ "$(pwd -P && echo .)" != "$there$newline." ]; then
        say "$there" 'a link leads elsewhere'
        return 1
    fi
    entered=${there%/}/
}

# directory OWNER MODE DIRECTORY: sets where it then is.
directory() {
    enter "$3" || return 0
    chown "$1" . || say "$3/" 'its owner cannot be changed'
    chmod "$2" . || say "$3/" 'its mode cannot be changed'
}

# set_one KIND OWNER MODE NAME: sets what is in the directory that was entered.
set_one() {
    kind=$1 owner=$2 mode=$3 name=$4
    if [ -z "$entered" ]; then
        say "$name" 'its directory was left alone'
        return
    fi
    # Looked at without following: type and permissions, names, owner, group, device number.
    set -- $(ls -dn "./$name" 2>/dev/null)
    if [ $# -lt 6 ]; then
        say "$entered$name" 'it is missing'
        return
    fi
    case $1 in
        l*) is=l ;;
        -*) is=- ;;
        c*) is=c$5$6 ;;
        *) is=other ;;
    esac
    if [ "$is" != "$kind" ]; then
        say "$entered$name" 'it is of another kind'
        return
    fi
    if [ "$2" != 1 ]; then
        say "$entered$name" 'it has several names (hard links)'
        return
    fi
    chown -h "$owner" "./$name" || say "$entered$name" 'its owner cannot be changed'
    [ "$is" != l ] || return 0
    chmod "$mode" "./$name" || say "$entered$name" 'its mode cannot be changed'
}

