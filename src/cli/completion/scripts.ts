import { usageError, type Command } from '../command.js';

// What a candidate is stands behind a tab; `:files` alone means names of files. No shell ever evaluates
// an answer: names come from elsewhere.

const BASH = `# bellwether completion for bash: source this, or put it into bash-completion's folder.
_bellwether() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    if [[ $line == ':files' ]]; then
      compopt -o default
      return
    fi
    COMPREPLY+=("\${line%%$'\\t'*}")
  done < <("\${COMP_WORDS[0]}" __complete bash "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  compopt +o default
}
complete -F _bellwether bellwether
`;

const ZSH = `#compdef bellwether
# bellwether completion for zsh: source this, or put it as _bellwether into a folder of fpath.
_bellwether() {
  local line
  local -a answer described
  answer=("\${(@f)$("\${words[1]}" __complete zsh "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ \${answer[1]} == ':files' ]]; then
    _files
    return
  fi
  for line in "\${answer[@]}"; do
    [[ -n $line ]] && described+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
  done
  _describe -t bellwether bellwether described
}
if [[ \${funcstack[1]} == _bellwether ]]; then
  _bellwether "$@"
else
  compdef _bellwether bellwether
fi
`;

const FISH = `# bellwether completion for fish: source this, or put it into fish's folder of completions.
function __bellwether_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l answer ($words[1] __complete fish $words[2..-1] 2>/dev/null)
  if test "$answer[1]" = ':files'
    __fish_complete_path (commandline -ct)
  else
    string join \\n -- $answer
  end
end
complete -c bellwether -f -a '(__bellwether_complete)'
`;

const SCRIPTS: Readonly<Record<string, string>> = { bash: BASH, zsh: ZSH, fish: FISH };

export const completion: Command = {
  name: 'completion',
  summary: 'print the script that completes commands, options and names in a shell',
  operands: ['SHELL'],
  options: {},
  notes: [
    'bash: source <(bellwether completion bash)',
    'zsh:  source <(bellwether completion zsh)     # behind compinit',
    'fish: bellwether completion fish | source',
    'Names of groups, nodes, rollouts and products come from the manager, if it answers at once.',
  ],
  run: async (given, terminal) => {
    const shell = given.operand(0);
    const script = Object.hasOwn(SCRIPTS, shell) ? SCRIPTS[shell] : undefined;
    if (script === undefined) throw usageError(`completion ${shell}: take bash, zsh or fish`);
    terminal.out(script);
  },
};
