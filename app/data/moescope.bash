# Completion of moescope's command line in bash.  The words come from the program itself, so that they are
# those of the installed version: commands from its help, options from the help of a command or analysis,
# analyses from their list, files where a file is wanted.

_moescope_options ()
{
  "$1" "${@:2}" --help 2>/dev/null |
    command sed -n 's/^ *\(-., \)\{0,1\}\(--[a-z][a-z0-9-]*\).*/\2/p'
}

_moescope ()
{
  local program=$1 word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} words analysis=

  COMPREPLY=()
  if [[ $COMP_CWORD -eq 1 ]]; then
    words=$("$program" --help 2>/dev/null | command sed -n 's/^  \([a-z]\{1,\}\)  .*/\1/p')
  elif [[ $word == -* ]]; then
    if [[ $command == analyze || $command == plot ]]; then
      analysis=${COMP_WORDS[3]}
      [[ $analysis == -* ]] && analysis=
    fi
    words=$(_moescope_options "$program" "$command"; \
            [[ -z $analysis ]] || _moescope_options "$program" analyze "$analysis")
  elif [[ ($command == analyze || $command == plot) && $COMP_CWORD -eq 3 ]]; then
    words=$("$program" analyze --list 2>/dev/null | command sed 's/ .*//')
  fi
  if [[ -n $words ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
  else
    compopt -o default 2>/dev/null
  fi
}

complete -F _moescope moescope
