if find_version; then
    echo "version=$version"
    echo ready=yes
else
    echo ready=no
    echo "reason=${said:-picoclaw prints nothing}"
fi
