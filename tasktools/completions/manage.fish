# Completion of Django's manage.py in fish, by the command `completion` of django-tasktools.

# Print where manage.py, or the django of -m django, stands on the line. Nothing is run but these, with those of Python's
# options ahead that run no code.
function __tasktools_manage_at
    set -l before ''
    set -l i 0
    for word in (commandline -opc)
        set i (math $i + 1)
        if string match -qr -- '^-[WX]$' "$before"
            set before ''
            continue
        else if test "$before" = -m; and test "$word" != django
            return 1
        else if test "$before" = -m; or string match -qr -- '^(.*/)?(manage\.py|django-admin)$' "$word"
            echo $i
            return 0
        else if test $i -gt 1; and not string match -qr -- '^-(m|[WX].*|[BEIOPRSbdiqsuvx]+)$' "$word"
            return 1
        end
        set before $word
    end
    return 1
end

function __tasktools_manage_words
    set -l at (__tasktools_manage_at)
    or return
    set -l typed (string replace -r '^~/' "$HOME/" -- (commandline -opc))
    set -l program $typed[1..$at]
    set -e typed[1..$at]
    set -l word (commandline -ct)
    set -l found (env $program completion --words $typed "$word" 2>/dev/null </dev/null | string replace -rf '^\t' '')
    if set -q found[1]
        string join \n -- $found
        return
    end
    set -l head (string match -r -- '^-[^=]*=' "$word")
    for path in (__fish_complete_path (string sub -s (math (string length -- "$head") + 1) -- "$word"))
        printf '%s\n' "$head$path"
    end
end

for command in manage.py django-admin python python3 python3.10 python3.11 python3.12 python3.13 python3.14
    complete -c $command -n __tasktools_manage_at -f -a '(__tasktools_manage_words)'
end
