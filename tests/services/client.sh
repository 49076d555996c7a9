# client PORT TEXT ANSWER: sends a text to a port of the loopback and succeeds if the answer contains
# another. For bash.
exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
printf "$2" >&3
while IFS= read -r -t 5 line <&3 || [ -n "$line" ]; do
    case $line in *"$3"*) exit 0 ;; esac
done
echo "no answer with $3"
exit 1
