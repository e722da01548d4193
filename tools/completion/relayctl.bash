# SPDX-License-Identifier: ISC
# bash completion for relayctl(8)

# One word a line that relayctl itself names: ids, accounts, routes.
_relayctl_ask()
{
	relayctl "${_relayctl_config[@]}" --json "$@" 2>/dev/null
}

_relayctl_ids()
{
	_relayctl_ask queue --limit 50 | sed -n 's/.*"queue_id":"\([^"]*\)".*/\1/p'
}

_relayctl_accounts()
{
	_relayctl_ask user list | sed -n 's/^{"name":"\([^"]*\)".*/\1/p'
}

_relayctl_destinations()
{
	_relayctl_ask hosts | sed -n 's/.*"destination":"\([^"]*\)".*/\1/p'
}

_relayctl()
{
	local cur prev words cword split command= sub= i
	local selector='--id --from --to --domain --route --code --state --older --younger --all --limit'
	local -a _relayctl_config=()
	_init_completion -n : -s || return

	for ((i = 1; i < cword; i++)); do
		case ${words[i]} in
			-c | --config) _relayctl_config=(-c "${words[i + 1]}"); ((i++)) ;;
			--from | --to | --domain | --route | --code | --state | --older | --younger | --id | --limit | \
				--for | --reason | --ip | --helo | --account | --listener | --address | --certificate | \
				--service | --uidl | --folder | --format | --by | --buckets | --bucket | \
				--msgid | --event | --since | --until | --every) ((i++)) ;;
			-*) ;;
			*) if [[ -z $command ]]; then command=${words[i]}; elif [[ -z $sub ]]; then sub=${words[i]}; fi ;;
		esac
	done

	case $prev in
		-c | --config) _filedir; return ;;
		--state) COMPREPLY=($(compgen -W 'waiting held aside new deferred' -- "$cur")); return ;;
		--service) COMPREPLY=($(compgen -W 'smtp pop3 imap queue' -- "$cur")); return ;;
		--format) COMPREPLY=($(compgen -W 'mbox eml' -- "$cur")); return ;;
		--by) COMPREPLY=($(compgen -W 'domain sender route error' -- "$cur")); return ;;
		--id) COMPREPLY=($(compgen -W "$(_relayctl_ids)" -- "$cur")); return ;;
		--account) COMPREPLY=($(compgen -W "$(_relayctl_accounts)" -- "$cur")); return ;;
		--event) COMPREPLY=($(compgen -W 'accepted delivered deferred failed deleted held released moved aside' -- "$cur")); return ;;
		--older | --younger | --for | --bucket | --since | --until) COMPREPLY=($(compgen -W '5m 1h 1d' -- "$cur")); return ;;
	esac

	if [[ -z $command ]]; then
		COMPREPLY=($(compgen -W '-c --json --help --version status queue show why history cat hosts shape top trace
			retry hold release bounce delete pause resume drain reload route-test policy-test probe dns
			user mailbox check spool import support-bundle' -- "$cur"))
		return
	fi

	local options=--json
	case $command in
		queue) options+=" $selector" ;;
		history) options+=" --msgid --event --since --until $selector" ;;
		top) options+=' --every --limit' ;;
		trace) options+=' --ip --domain --for --limit' ;;
		shape) options+=" --by --sender --error --buckets --bucket --linear $selector" ;;
		retry | hold | release | bounce | delete) options+=" --dry-run $selector" ;;
		pause) options+=' --for --reason --dry-run' ;;
		resume | reload | drain) options+=' --dry-run' ;;
		route-test) options+=' --account --listener --ip' ;;
		policy-test) options+=' --ip --from --to --helo --account --listener' ;;
		user) options+=' --address --certificate --service --password-stdin --hash-stdin --recoverable
			--keep-mail --delete-mail --disable --enable --dry-run' ;;
		mailbox) options+=' --folder --older --uidl --format --to --all --dry-run --limit' ;;
		spool) options+=' --dry-run' ;;
	esac
	if [[ $cur == -* ]]; then
		COMPREPLY=($(compgen -W "$options" -- "$cur"))
		return
	fi

	case $command in
		trace) COMPREPLY=($(compgen -W 'in out' -- "$cur")) ;;
		queue | show | why | history | cat | retry | hold | release | bounce | delete)
			COMPREPLY=($(compgen -W "$(_relayctl_ids)" -- "$cur")) ;;
		pause | resume)
			COMPREPLY=($(compgen -W "in out $(_relayctl_destinations)" -- "$cur"))
			__ltrim_colon_completions "$cur" ;;
		user)
			if [[ -z $sub ]]; then
				COMPREPLY=($(compgen -W 'add passwd list delete set secret' -- "$cur"))
			elif [[ $sub == secret && $prev == secret ]]; then
				COMPREPLY=($(compgen -W 'add delete' -- "$cur"))
			elif [[ $sub != add ]]; then
				COMPREPLY=($(compgen -W "$(_relayctl_accounts)" -- "$cur"))
			fi ;;
		mailbox)
			if [[ -z $sub ]]; then
				COMPREPLY=($(compgen -W 'list show export delete' -- "$cur"))
			else
				COMPREPLY=($(compgen -W "$(_relayctl_accounts)" -- "$cur"))
			fi ;;
		spool)
			if [[ -z $sub ]]; then
				COMPREPLY=($(compgen -W 'check stat backup restore compact' -- "$cur"))
			else
				_filedir -d
			fi ;;
		import)
			if [[ -z $sub ]]; then
				COMPREPLY=($(compgen -W 'postfix' -- "$cur"))
			else
				_filedir
			fi ;;
		support-bundle) _filedir ;;
	esac
} &&
	complete -F _relayctl relayctl
