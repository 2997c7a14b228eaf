# What CLIO needs of a device, said in the words of status.sh and deploy.sh: sets reason where something is missing.

perl=5.16.0
modules='JSON::PP HTTP::Tiny Time::HiRes Digest::SHA'

require() {
    reason=
    if ! command -v perl >/dev/null 2>&1; then
        reason='There is no perl.'
        return 1
    fi
    if ! perl "-M$perl" -e 1 >/dev/null 2>&1 </dev/null; then
        found=$(perl -e 'printf "%vd", $^V' 2>/dev/null </dev/null)
        reason="perl is ${found:-of no use}, and CLIO needs $perl."
        return 1
    fi
    for module in $modules; do
        perl "-M$module" -e 1 >/dev/null 2>&1 </dev/null && continue
        reason="perl has no module $module."
        return 1
    done
    case ${FLEET_API_BASE:-https:} in https:*) ;; *) return 0 ;; esac
    command -v curl >/dev/null 2>&1 && return 0
    perl -MIO::Socket::SSL -e 1 >/dev/null 2>&1 </dev/null && return 0
    reason='There is neither curl nor the perl module IO::Socket::SSL, and models are asked over https.'
    return 1
}
