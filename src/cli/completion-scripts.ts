/**
 * The completion scripts. They hand the words to `broker complete`, which answers a line for each candidate, `word`
 * or `word<TAB>meaning`, and `:files` or `:directories` where the shell's own paths belong.
 */

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

const BASH = `# Completion of broker for bash. Load it with: source <(broker completion bash)
_broker() {
  # The line is split anew: bash also splits at = : and @, which are parts of our words.
  local -a words
  local line="\${COMP_LINE:0:COMP_POINT}" current word paths=""
  read -ra words <<< "$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  current="\${words[\${#words[@]} - 1]}"
  # What bash takes for the word being typed is only the end of ours: it wants the end of each candidate.
  local prefix="\${current%"\${COMP_WORDS[COMP_CWORD]}"}"
  [[ \${COMP_WORDS[COMP_CWORD]} == [=:@] ]] && prefix="$current"
  COMPREPLY=()
  while IFS=$'\\t' read -r word _; do
    case "$word" in
      :files | :directories) paths="$word" ;;
      *) COMPREPLY+=("\${word#"$prefix"}") ;;
    esac
  done < <("\${words[0]}" complete -- "\${words[@]:1}" 2> /dev/null)
  case "$paths" in
    :files) compopt -o filenames; COMPREPLY+=($(compgen -f -- "\${current#"$prefix"}")) ;;
    :directories) compopt -o filenames; COMPREPLY+=($(compgen -d -- "\${current#"$prefix"}")) ;;
  esac
}
complete -F _broker broker
`;

const ZSH = `#compdef broker
# Completion of broker for zsh. Load it with: source <(broker completion zsh)
# or put it into a folder of $fpath as _broker.
_broker() {
  local line word meaning paths=""
  local -a candidates
  while IFS=$'\\t' read -r word meaning; do
    case "$word" in
      :files | :directories) paths="$word" ;;
      *) candidates+=("\${word//:/\\\\:}\${meaning:+:$meaning}") ;;
    esac
  done < <("\${words[1]}" complete -- "\${(@)words[2,CURRENT]}" 2> /dev/null)
  (( \${#candidates} )) && _describe 'broker' candidates
  case "$paths" in
    :files) _files ;;
    :directories) _files -/ ;;
  esac
}
if [[ "\${funcstack[1]}" == _broker ]]; then _broker "$@"; else compdef _broker broker; fi
`;

const FISH = `# Completion of broker for fish. Load it with: broker completion fish | source
function __broker_complete
    set -l words (commandline --tokenize --cut-at-cursor --current-process)
    set -l current (commandline --cut-at-cursor --current-token)
    for line in ($words[1] complete -- $words[2..-1] "$current" 2> /dev/null)
        switch $line
            case ':files'
                __fish_complete_path "$current"
            case ':directories'
                __fish_complete_directories "$current"
            case '*'
                printf '%s\\n' $line
        end
    end
end
complete --command broker --no-files --arguments '(__broker_complete)'
`;

export const SCRIPTS: Record<Shell, string> = { bash: BASH, zsh: ZSH, fish: FISH };
