# Completion of Django's manage.py in zsh, by the command `completion` of django-tasktools.
_tasktools_manage() {
    local i at=
    local -a typed found open
    for ((i = 1; i < CURRENT; i++)); do
        typed[i]=${(Q)words[i]}
        typed[i]=${typed[i]/#\~\//$HOME/}
    done
    # Nothing is run but manage.py and -m django, with those of Python's options ahead that run no code.
    for ((i = 1; i < CURRENT; i++)); do
        case ${typed[i]} in
            (manage.py|*/manage.py|django-admin|*/django-admin) at=$i; break ;;
            (-m) [[ ${typed[i+1]} == django ]] && ((at = i + 1)); break ;;
            (-[WX]) ((i++)) ;;
            (-[WX]*) ;;
            (-*[^BEIOPRSbdiqsuvx]*) break ;;
            (-*) ;;
            (*) ((i > 1)) && break ;;
        esac
    done
    if [[ -z $at ]]; then
        if [[ $service == python* ]] && (( $+functions[_python] )); then _python "$@"; else _default; fi
        return
    fi
    found=(${(f)"$("${(@)typed[1,at]}" completion --words "${(@)typed[at+1,-1]}" "${(Q)PREFIX}" 2>/dev/null </dev/null)"})
    found=(${${(M)found:#$'\t'*}#$'\t'})
    open=(${(M)found:#*=})
    found=(${found:#*=})
    if (( $#found + $#open )); then
        compadd -- $found
        compadd -S '' -- $open
    else
        [[ $PREFIX == -*=* ]] && compset -P '*='
        _default
    fi
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i; }
compdef _tasktools_manage manage.py django-admin python python3 python3.10 python3.11 python3.12 python3.13 python3.14
