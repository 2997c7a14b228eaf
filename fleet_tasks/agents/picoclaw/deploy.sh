# Fit to be put in its place when it runs from here.
find_version && exit 0
case $said in
*"too old"*) ;;
*[Pp]ermission*) echo code=not-executable ;;
*) echo code=wrong-binary ;;
esac
echo "reason=${said:-it prints nothing}"
exit 1
