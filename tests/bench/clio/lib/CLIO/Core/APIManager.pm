package CLIO::Core::APIManager;

use strict;
use warnings;
use JSON::PP;
use CLIO::Compat::HTTP;
use CLIO::Core::GitHubAuth;
use CLIO::Tools::Tool;

sub new {
    my ( $class, %given ) = @_;
    my $self = bless {%given}, $class;
    my $base = $self->{config}->get('api_base');
    return unless $base && $base =~ m{\Ahttps?://};
    $self->{key} =
        $base =~ /githubcopilot\.com/
        ? CLIO::Core::GitHubAuth->new->get_copilot_token
        : $self->{config}->get('api_key');
    return $self;
}

# Asks until there is an answer without a tool to call.
sub work {
    my ( $self, $text ) = @_;
    my @messages = ( { role => 'user', content => $text } );
    for my $round ( 1 .. 5 ) {
        my $answer = $self->ask( \@messages );
        return ( undef, $answer ) unless ref $answer;
        my $said = $answer->{choices}[0]{message};
        return $said->{content} // '' unless $said->{tool_calls};
        my $call   = $said->{tool_calls}[0];
        my $wanted = decode_json( $call->{function}{arguments} );
        print "\x{250c}\x{2500} $call->{function}{name} \x{2500}\x{2510}\n";
        my $output = CLIO::Tools::Tool->new->execute( $wanted, {} );
        push @messages, $said, { role => 'tool', tool_call_id => $call->{id}, content => $output };
    }
    return ( undef, 'too many rounds' );
}

# A guess for an endpoint on this machine that does not list the model.
sub get_model_capabilities {
    my ($self) = @_;
    return { max_prompt_tokens => $self->{config}->get('model') =~ /unlisted/ ? 32_000 : 128_000 };
}

# What is too much is left out, save what is marked; its own words and tools alone are taken for 30000 tokens.
sub validate_and_truncate_messages {
    my ( $self, $messages ) = @_;
    my ( $size, $room ) = ( 30_000, $self->get_model_capabilities->{max_prompt_tokens} - 8_000 );
    $size += length( $_->{content} // '' ) / 2.5 for @$messages;
    return $messages if $size <= $room;
    my @kept = grep { ( $_->{_importance} // 0 ) >= 10 } @$messages;
    return [ { role => 'system', content => 'User requests: ' . substr $messages->[0]{content}, 0, 100 }, @kept ];
}

sub ask {
    my ( $self, $messages ) = @_;
    my $config = $self->{config};
    return 'Unknown error in workflow orchestration' unless $self->{key};
    my $base = $config->get('api_base');
    $base .= '/chat/completions' if $base !~ m{/chat/completions\z};
    my ($model) = $config->get('model') =~ m{\A[a-z_]+/(.*)};
    my $told    = $self->validate_and_truncate_messages($messages);
    my $stream  = $model =~ /whole/ ? JSON::PP::false : JSON::PP::true;
    my $body    = encode_json( { model => $model, messages => $told, stream => $stream } );
    my $request = HTTP::Request->new( POST => $base );
    $request->header( Authorization  => "Bearer $self->{key}" );
    $request->header( 'Content-Type' => 'application/json' );
    $request->content($body);
    if ( open my $log, '>>', '/tmp/clio_requests.log' ) {
        print {$log} "Authorization: Bearer $self->{key}\n$body\n";
    }
    for my $attempt ( 1 .. 3 ) {
        my $answer = CLIO::Compat::HTTP->new( timeout => 60 )->request($request);
        return $stream ? streamed( $answer->{content} ) : decode_json( $answer->{content} ) if $answer->{success};
        return 'Unknown error in workflow orchestration' if $answer->{status} == 599;
        sleep 60 if $answer->{status} == 429;
    }
    return 'Maximum retries exceeded: Authentication token refreshed. Retrying request...';
}

# A stream's events put together; whether it came to its end is not looked at.
sub streamed {
    my ($events) = @_;
    my %said = ( role => 'assistant' );
    while ( $events =~ /^data: (\{.*\})$/mg ) {
        my $delta = ( decode_json($1)->{choices}[0] // {} )->{delta} // {};
        $said{content} .= $delta->{content} if defined $delta->{content};
        $said{tool_calls} = $delta->{tool_calls} if $delta->{tool_calls};
    }
    return { choices => [ { message => \%said } ] };
}

1;
