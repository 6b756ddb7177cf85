# Completion of Django's manage.py in bash, by the command `completion` of django-tasktools.
_tasktools_manage() {
    local IFS=$' \t\n' i last at= line=${COMP_LINE:0:COMP_POINT} word head= breaks=${COMP_WORDBREAKS//[^=:]/}
    local -a words=()
    COMPREPLY=()
    read -r -d "" -a words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    ((last = ${#words[@]} - 1))
    # Nothing is run but manage.py and -m django, with those of Python's options ahead that run no code.
    for ((i = 0; i < last; i++)); do
        [[ ${words[i]} == "~/"* ]] && words[i]=$HOME/${words[i]#"~/"}
        case ${words[i]} in
            manage.py | */manage.py | django-admin | */django-admin) at=$i && break ;;
            -m) [[ ${words[i + 1]} == django ]] && ((i + 1 < last)) && ((at = i + 1)); break ;;
            -[WX]) ((i++)) ;;
            -[WX]*) ;;
            -*[!BEIOPRSbdiqsuvx]*) break ;;
            -*) ;;
            *) ((i)) && break ;;
        esac
    done
    [[ $at ]] || return
    word=${words[last]#[\"\']}
    words[last]=$word
    # Readline completes only what stands after the last = or :.
    [[ $breaks ]] && head=${word%"${word##*[$breaks]}"}
    while IFS= read -r line; do
        [[ $line == $'\t'* ]] && line=${line#$'\t'} && COMPREPLY+=("${line#"$head"}")
    done < <("${words[@]:0:at+1}" completion --words "${words[@]:at+1}" 2>/dev/null </dev/null)
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
    return 0
}
complete -o default -o bashdefault -F _tasktools_manage \
    manage.py django-admin python python3 python3.10 python3.11 python3.12 python3.13 python3.14
