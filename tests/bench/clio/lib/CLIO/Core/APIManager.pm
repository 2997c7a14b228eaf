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

sub ask {
    my ( $self, $messages ) = @_;
    my $config = $self->{config};
    return 'Unknown error in workflow orchestration' unless $self->{key};
    my $base = $config->get('api_base');
    $base .= '/chat/completions' if $base !~ m{/chat/completions\z};
    my ($model) = $config->get('model') =~ m{\A[a-z_]+/(.*)};
    my $body    = encode_json( { model => $model, messages => $messages } );
    my $request = HTTP::Request->new( POST => $base );
    $request->header( Authorization  => "Bearer $self->{key}" );
    $request->header( 'Content-Type' => 'application/json' );
    $request->content($body);
    if ( open my $log, '>>', '/tmp/clio_requests.log' ) {
        print {$log} "Authorization: Bearer $self->{key}\n$body\n";
    }
    for my $attempt ( 1 .. 3 ) {
        my $answer = CLIO::Compat::HTTP->new( timeout => 60 )->request($request);
        return decode_json( $answer->{content} ) if $answer->{success};
        return 'Unknown error in workflow orchestration' if $answer->{status} == 599;
        sleep 60 if $answer->{status} == 429;
    }
    return 'Maximum retries exceeded: Authentication token refreshed. Retrying request...';
}

1;
