if find_version; then
    echo "version=$version"
    echo ready=yes
else
    echo ready=no
    case $said in *[Pp]ermission*) echo code=not-executable ;; esac
    echo "reason=${said:-picoclaw prints nothing}"
fi
